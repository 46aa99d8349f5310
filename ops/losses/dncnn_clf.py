"""Train a denoiser so that a frozen classifier finds the true classes behind it."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float32, Int64

from ops.losses.gaussian import gaussian_loss
from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import BehindOneSigma

Images = Float32[torch.Tensor, "image channel height width"]


class DenoiseClf(BehindOneSigma, frozen=True, extra="forbid"):
    """Cross entropy of a frozen classifier on denoised images, to the true class."""

    kind: Literal["denoise_clf"] = "denoise_clf"
    trains: ClassVar[str] = "denoiser"

    def losses(
        self,
        network: Callable[..., torch.Tensor],
        classify: Callable[..., torch.Tensor],
        batch: Minibatch,
        noise: Images,
    ) -> Float32[torch.Tensor, " image"]:
        """Return a number per image, at least 0, in nats."""
        return denoised_loss(network, classify, batch.image, batch.label, noise)


def denoised_loss(
    network: Callable[..., torch.Tensor],
    classify: Callable[..., torch.Tensor],
    image: Images,
    label: Int64[torch.Tensor, " image"],
    noise: Images,
) -> Float32[torch.Tensor, " image"]:
    """Return the cross entropy of a classifier's scores of denoised images.

    Args:
        network: maps noisy images of the [0, 1] range to denoised ones; learns.
        classify: maps those to class scores; frozen.
        image: pixels in [0, 1].
        label: classes to be found.
        noise: of std ``sigma_train``, in [0, 1] pixels.

    Returns:
        A number per image, at least 0, in nats.

    Source:
        Salman et al. 2020, arXiv:2003.01908, the classification objective.
    """

    def scores(noisy: Images) -> Float32[torch.Tensor, "image class"]:
        return classify(network(noisy))

    return gaussian_loss(scores, image, label, noise)
