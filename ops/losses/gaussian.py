"""Train a classifier on images under Gaussian noise."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float32, Int64
from pydantic import NonNegativeFloat
from torch.nn.functional import cross_entropy

from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import OneSigma


class GaussianObjective(OneSigma, frozen=True, extra="forbid"):
    """Cross entropy on noisy images, noise drawn anew in every step."""

    kind: Literal["gaussian"] = "gaussian"
    trains: ClassVar[str] = "classifier"

    sigma_train: NonNegativeFloat
    """Std of the noise, in [0, 1] pixels; 0 trains on clean images."""

    def loss(
        self, network: Callable[..., torch.Tensor], batch: Minibatch
    ) -> Float32[torch.Tensor, ""]:
        """Return the mean loss over a worker's share of a step.

        Args:
            network: maps noisy images to class scores.
            batch: images and labels, with the noise that belongs to them.

        Returns:
            A scalar of at least 0, in nats.
        """
        (noise,) = batch.noises(1, self.sigma_train)
        return batch.mean(gaussian_loss(network, batch.image, batch.label, noise))


def gaussian_loss(
    network: Callable[..., torch.Tensor],
    image: Float32[torch.Tensor, "image channel height width"],
    label: Int64[torch.Tensor, " image"],
    noise: Float32[torch.Tensor, "image channel height width"],
) -> Float32[torch.Tensor, " image"]:
    """Return the cross entropy of the class scores of noisy images.

    The noisy image is not clipped: the certificate speaks of unclipped noise.

    Args:
        network: maps noisy images to class scores.
        image: pixels in [0, 1].
        label: true classes.
        noise: of std ``sigma_train``, in [0, 1] pixels.

    Returns:
        A number per image, at least 0, in nats.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, section 3.3.
    """
    return cross_entropy(network(image + noise), label, reduction="none")
