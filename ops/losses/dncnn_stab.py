"""Train a denoiser so that a frozen classifier says what it says of clean images."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float32

from ops.losses.dncnn_clf import denoised_loss
from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import BehindOneSigma

Images = Float32[torch.Tensor, "image channel height width"]


class DenoiseStab(BehindOneSigma, frozen=True, extra="forbid"):
    """Cross entropy of a frozen classifier on denoised images, to its own guess.

    It needs no labels.
    """

    kind: Literal["denoise_stab"] = "denoise_stab"
    trains: ClassVar[str] = "denoiser"

    def losses(
        self,
        network: Callable[..., torch.Tensor],
        classify: Callable[..., torch.Tensor],
        batch: Minibatch,
        noise: Images,
    ) -> Float32[torch.Tensor, " image"]:
        """Return a number per image, at least 0, in nats."""
        return stability_loss(network, classify, batch.image, noise)


def stability_loss(
    network: Callable[..., torch.Tensor],
    classify: Callable[..., torch.Tensor],
    image: Images,
    noise: Images,
) -> Float32[torch.Tensor, " image"]:
    """Return the cross entropy of denoised images to a classifier's clean guesses.

    Args:
        network: maps noisy images of the [0, 1] range to denoised ones; learns.
        classify: maps images to class scores; frozen.
        image: pixels in [0, 1].
        noise: of std ``sigma_train``, in [0, 1] pixels.

    Returns:
        A number per image, at least 0, in nats.

    Source:
        Salman et al. 2020, arXiv:2003.01908, the stability objective.
    """
    with torch.no_grad():
        guess = classify(image).argmax(dim=1)
    return denoised_loss(network, classify, image, guess, noise)
