"""Train a classifier to have large certified radii, without attacking it."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float32, Int64
from pydantic import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from torch.special import ndtri

from ops.losses.copies import (
    Scores,
    log_mean_probability,
    scores_of_copies,
    smoothed_cross_entropy,
)
from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import OneSigma

Probabilities = Float32[torch.Tensor, "image class"]


class MacerObjective(OneSigma, frozen=True, extra="forbid"):
    """Cross entropy of the soft smoothed classifier, and a hinge on its radius.

    Source:
        Zhai et al. 2020, arXiv:2001.02378, algorithm 1. Differs: the cross entropy is
        exact where the probability is tiny, in place of a guard of 1e-10.
    """

    kind: Literal["macer"] = "macer"
    trains: ClassVar[str] = "classifier"

    sigma_train: PositiveFloat
    """Std of the noise, in [0, 1] pixels."""

    num_noise: PositiveInt = 16
    """Noisy copies of each image (k)."""

    inverse_temperature: PositiveFloat = 16.0
    """Factor of the class scores where the radius is estimated (beta)."""

    margin: PositiveFloat = 8.0
    """Radius beyond which an image has no pull, in halves of sigma (gamma)."""

    radius_weight: NonNegativeFloat = 12.0
    """Weight of the hinge beside the cross entropy (lambda)."""

    deferred_steps: NonNegativeInt = 0
    """Steps before the hinge counts at all."""

    def loss(
        self, network: Callable[..., torch.Tensor], batch: Minibatch
    ) -> Float32[torch.Tensor, ""]:
        """Return the mean loss over a worker's share of a step.

        Args:
            network: maps noisy images to class scores.
            batch: images and labels, with the noise that belongs to them.

        Returns:
            A scalar of at least 0; its cross entropy in nats, its hinge in pixels.
        """
        noises = batch.noises(self.num_noise, self.sigma_train)
        scores = scores_of_copies(network, batch.image, noises)
        losses = smoothed_cross_entropy(scores, batch.label)
        if batch.step >= self.deferred_steps:
            hinge = self.radius_hinge(scores, batch.label)
            losses = losses + self.radius_weight * hinge
        return batch.mean(losses)

    def radius_hinge(
        self, scores: Scores, label: Int64[torch.Tensor, " image"]
    ) -> Float32[torch.Tensor, " image"]:
        """Return how much each image's estimated radius lacks.

        Args:
            scores: of the copies, before the temperature.
            label: true classes.

        Returns:
            ``sigma / 2 * margin`` less the estimated radius, in [0, 1] pixels; 0, and
            without gradient, where the guess is wrong or nothing is lacking.
        """
        probability = log_mean_probability(self.inverse_temperature * scores).exp()
        lacking = gap_hinge(probability, label, self.margin)
        return self.sigma_train / 2.0 * lacking


def gap_hinge(
    probability: Probabilities, label: Int64[torch.Tensor, " image"], margin: float
) -> Float32[torch.Tensor, " image"]:
    """Return by how much the gap between the two likeliest classes misses a margin.

    Args:
        probability: of the soft smoothed classifier, in [0, 1].
        label: true classes.
        margin: gap aimed at, in standard normal quantiles.

    Returns:
        ``margin`` less the gap; 0, and without gradient, where the likeliest class is
        not the label, the gap is at least the margin, or a probability rounds to 1.
    """
    likeliest = probability.topk(2, dim=1)
    guessed = likeliest.indices[:, 0] == label
    counts = guessed & _lacks(likeliest.values.detach(), margin)
    # Replaced before the quantile: its gradient at 1 is infinite, and 0 * inf is none.
    known = torch.where(counts.unsqueeze(1), likeliest.values, 0.5)
    first, second = ndtri(known).unbind(dim=1)
    return torch.where(counts, margin - (first - second), 0.0)


def _lacks(
    two: Float32[torch.Tensor, "image 2"], margin: float
) -> Bool[torch.Tensor, " image"]:
    gap = ndtri(two[:, 0]) - ndtri(two[:, 1])
    return gap.isfinite() & (gap < margin)
