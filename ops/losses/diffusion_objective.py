"""What objectives have in common that train a diffusion model's U-Net."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import BaseModel

from ops.columns import Worker
from ops.losses.one_sigma import Loss


class DiffusionObjective(BaseModel, ABC, frozen=True, extra="forbid"):
    """An objective whose network is published as a folder of diffusers."""

    trains: ClassVar[str] = "diffusion"

    kind: str
    """Which objective."""

    @property
    def target_decay(self) -> float | None:
        """Share of itself that a slow copy of the network keeps at each step.

        The loss meets that copy as ``Learner.target``; ``None`` where it asks for none.
        """
        return None

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
