"""Train a denoiser to return the clean image."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float32
from pydantic import PositiveFloat

from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import OneSigma

Images = Float32[torch.Tensor, "image channel height width"]


class DenoiseMse(OneSigma, frozen=True, extra="forbid"):
    """Squared error of denoised images, noise drawn anew in every step."""

    kind: Literal["denoise_mse"] = "denoise_mse"
    trains: ClassVar[str] = "denoiser"

    sigma_train: PositiveFloat
    """Std of the noise, in [0, 1] pixels; the denoiser serves this sigma alone."""

    def loss(
        self, network: Callable[..., torch.Tensor], batch: Minibatch
    ) -> Float32[torch.Tensor, ""]:
        """Return the mean loss over a worker's share of a step.

        Args:
            network: maps noisy images of the [0, 1] range to denoised ones.
            batch: images, with the noise that belongs to them.

        Returns:
            A scalar of at least 0; the noise's variance for a network that changes
            nothing.
        """
        (noise,) = batch.noises(1, self.sigma_train)
        return batch.mean(mse_loss(network, batch.image, noise))


def mse_loss(
    network: Callable[..., torch.Tensor], image: Images, noise: Images
) -> Float32[torch.Tensor, " image"]:
    """Return the squared error of denoised images.

    Args:
        network: maps noisy images of the [0, 1] range to denoised ones.
        image: pixels in [0, 1].
        noise: of std ``sigma_train``, in [0, 1] pixels.

    Returns:
        Mean over pixels, a number per image, at least 0.

    Source:
        Salman et al. 2020, arXiv:2003.01908, the MSE objective.
    """
    error = network(image + noise) - image
    return error.square().flatten(1).mean(dim=1)
