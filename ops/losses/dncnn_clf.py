"""Train a denoiser so that a frozen classifier finds the true classes behind it."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float32, Int64
from pydantic import BaseModel, Field

from ops.classify.classifier import Classifier
from ops.columns import Worker
from ops.losses.gaussian import gaussian_loss
from ops.losses.minibatch import Minibatch

Images = Float32[torch.Tensor, "image channel height width"]


class DenoiseClf(BaseModel, frozen=True, extra="forbid"):
    """Cross entropy of a frozen classifier on denoised images, to the true class."""

    kind: Literal["denoise_clf"] = "denoise_clf"
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
            losses = denoised_loss(network, classify, batch.image, batch.label, noise)
            return batch.mean(losses)

        return loss


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
