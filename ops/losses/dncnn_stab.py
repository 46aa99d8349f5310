"""Train a denoiser so that a frozen classifier says what it says of clean images."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float32
from pydantic import BaseModel, Field

from ops.classify.classifier import Classifier
from ops.columns import Worker
from ops.losses.dncnn_clf import denoised_loss
from ops.losses.minibatch import Minibatch

Images = Float32[torch.Tensor, "image channel height width"]


class DenoiseStab(BaseModel, frozen=True, extra="forbid"):
    """Cross entropy of a frozen classifier on denoised images, to its own guess.

    It needs no labels.
    """

    kind: Literal["denoise_stab"] = "denoise_stab"
    trains: ClassVar[str] = "denoiser"

    sigma_train: Annotated[float, Field(gt=0)]
    """Std of the noise, in [0, 1] pixels; the denoiser serves this sigma alone."""

    classifier: Classifier
    """The classifier that will stand behind the denoiser, or a surrogate of it."""

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the training."""
        return {"objective": self.kind, "sigma_train": self.sigma_train}

    def open(
        self, worker: Worker
    ) -> Callable[[Callable[..., torch.Tensor], Minibatch], torch.Tensor]:
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
        ) -> Float32[torch.Tensor, ""]:
            (noise,) = batch.noises(1, self.sigma_train)
            return batch.mean(stability_loss(network, classify, batch.image, noise))

        return loss


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
