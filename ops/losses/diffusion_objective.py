"""What objectives have in common that train a diffusion model's U-Net."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import BaseModel

from ops.columns import Worker
from ops.losses.one_sigma import Loss


class DiffusionObjective(BaseModel, ABC, frozen=True, extra="forbid"):
    """An objective whose network is published as a folder of diffusers.

    One that looks at a slow copy of the network has a field ``target_decay``: the share
    of itself that the copy keeps at each step. The loss meets it as ``Learner.target``.
    """

    trains: ClassVar[str] = "diffusion"

    kind: str
    """Which objective."""

    @abstractmethod
    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the training."""

    @abstractmethod
    def scheduler(self) -> dict[str, Any]:
        """Return what the network was trained for, as a scheduler of diffusers.

        Returns:
            Content of a scheduler_config.json.
        """

    @abstractmethod
    def open(self, worker: Worker) -> Loss:
        """Load what stands beside the network, and return the loss."""
