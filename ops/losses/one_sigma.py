"""What objectives have in common that meet Gaussian noise of one sigma."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from pydantic import BaseModel, NonNegativeFloat, PositiveFloat

from ops.classify.classifier import Classifier
from ops.columns import Worker
from ops.losses.minibatch import Minibatch

Loss = Callable[[Any, Minibatch], torch.Tensor]
"""Of a network, or a Learner where it is attacked, and a worker's share of a step."""


class OneSigma(BaseModel, ABC, frozen=True, extra="forbid"):
    """An objective that loads nothing beside the network."""

    kind: str
    """Which objective."""

    sigma_train: NonNegativeFloat
    """Std of the noise, in [0, 1] pixels."""

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the training."""
        return {"objective": self.kind, "sigma_train": self.sigma_train}

    def open(self, worker: Worker) -> Loss:
        """Return the loss; there is nothing to load."""
        return self.loss

    @abstractmethod
    def loss(self, network: Any, batch: Minibatch, /) -> torch.Tensor:
        """Return the mean loss over a worker's share of a step, a scalar."""


class BehindOneSigma(BaseModel, ABC, frozen=True, extra="forbid"):
    """An objective for a denoiser that a frozen classifier stands behind."""

    kind: str
    """Which objective."""

    sigma_train: PositiveFloat
    """Std of the noise, in [0, 1] pixels; the denoiser serves this sigma alone."""

    classifier: Classifier
    """The classifier that will stand behind the denoiser, or a surrogate of it."""

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the training."""
        return {"objective": self.kind, "sigma_train": self.sigma_train}

    def open(self, worker: Worker) -> Loss:
        """Load the classifier and return the loss.

        Args:
            worker: where to compute, and what reads the classifier's weights.

        Returns:
            A function of a network and a minibatch, whose result is at least 0, in
            nats.

        Raises:
            ValueError: the classifier's weights do not fit.
        """
        classify = self.classifier.open(worker)

        def loss(
            network: Callable[..., torch.Tensor], batch: Minibatch
        ) -> torch.Tensor:
            (noise,) = batch.noises(1, self.sigma_train)
            return batch.mean(self.losses(network, classify, batch, noise))

        return loss

    @abstractmethod
    def losses(
        self,
        network: Callable[..., torch.Tensor],
        classify: Callable[..., torch.Tensor],
        batch: Minibatch,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        """Return a number per image, at least 0, in nats."""
