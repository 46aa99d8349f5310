"""Train a classifier on what a frozen purifier makes of noisy images."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float32
from pydantic import BaseModel, NonNegativeFloat, PositiveFloat

from ops.columns import Worker
from ops.losses.gaussian import gaussian_loss
from ops.losses.minibatch import Minibatch
from ops.purify.purifier import Purifier
from ops.purify.purifying import Purify

Images = Float32[torch.Tensor, "image channel height width"]


class DenoisedObjective(BaseModel, frozen=True, extra="forbid"):
    """Cross entropy on purified images, so that a classifier knows what it will meet.

    Source:
        Carlini et al. 2023, arXiv:2206.10550, the fine-tuned classifier.
    """

    kind: Literal["denoised"] = "denoised"
    trains: ClassVar[str] = "classifier"

    sigma: PositiveFloat
    """Std of the certified noise, in [0, 1] pixels."""

    purifier: Purifier
    """What stands before the classifier."""

    sigma_local: NonNegativeFloat = 0.0
    """Std of noise on the purified images, in [0, 1] pixels; 0 for none."""

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the training."""
        return {
            "objective": self.kind,
            "sigma_train": self.sigma_local,
            "purified_sigma": self.sigma,
        }

    def open(
        self, worker: Worker
    ) -> Callable[[Callable[..., torch.Tensor], Minibatch], torch.Tensor]:
        """Load the purifier and return the loss.

        Args:
            worker: where to compute, and what reads the purifier's weights.

        Returns:
            A function of a network and a minibatch, whose result is at least 0, in
            nats.

        Raises:
            ValueError: the purifier's weights do not fit, or not this sigma.
        """
        purify = self.purifier.open_with_noise(worker, self.sigma)

        def loss(
            network: Callable[..., torch.Tensor], batch: Minibatch
        ) -> Float32[torch.Tensor, ""]:
            purified = purified_image(purify, batch, self.sigma)
            noise = self.sigma_local * batch.gaussian("local")
            return batch.mean(gaussian_loss(network, purified, batch.label, noise))

        return loss


@torch.no_grad()
def purified_image(purify: Purify, batch: Minibatch, sigma: float) -> Images:
    """Return a step's images after noise and purification, without gradients.

    Of a purifier that takes several samples of a copy, the first.

    Args:
        purify: noisy images to purified ones.
        batch: images, with the noise that belongs to them.
        sigma: std of the noise, in [0, 1] pixels.
    """
    (noise,) = batch.noises(1, sigma)
    purified = purify(batch.image + noise, batch.gaussian)
    return purified[:: len(purified) // len(noise)]
