"""Train a classifier to say the same of all noisy copies of an image."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float32
from pydantic import Field, NonNegativeFloat, PositiveFloat

from ops.losses.copies import (
    Scores,
    divergence,
    log_mean_probability,
    mean_cross_entropy,
    scores_of_copies,
)
from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import OneSigma


class ConsistencyObjective(OneSigma, frozen=True, extra="forbid"):
    """Cross entropy on noisy copies, their divergence from their mean, and its entropy.

    Source:
        Jeong and Shin 2020, arXiv:2006.04062, section 3. Differs: logs of small
        probabilities are exact, in place of a guard of 1e-20.
    """

    kind: Literal["consistency"] = "consistency"
    trains: ClassVar[str] = "classifier"

    sigma_train: PositiveFloat
    """Std of the noise, in [0, 1] pixels."""

    num_noise: Annotated[int, Field(ge=2)] = 2
    """Noisy copies of each image (m)."""

    consistency_weight: NonNegativeFloat
    """Weight of the divergence beside the cross entropy (lambda)."""

    entropy_weight: NonNegativeFloat = 0.5
    """Weight of the entropy beside the cross entropy (eta)."""

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
        noises = batch.noises(self.num_noise, self.sigma_train)
        scores = scores_of_copies(network, batch.image, noises)
        losses = mean_cross_entropy(scores, batch.label)
        inconsistent = self.consistency_weight * inconsistency(scores)
        undecided = self.entropy_weight * entropy(scores)
        return batch.mean(losses + inconsistent + undecided)


def inconsistency(scores: Scores) -> Float32[torch.Tensor, " image"]:
    """Return the mean over copies of KL(mean of copies || copy).

    Gradients flow through both sides.

    Args:
        scores: of the copies.

    Returns:
        A number per image, at least 0, in nats; 0 where the copies agree.

    Source:
        Jeong and Shin 2020, arXiv:2006.04062, section 3.
    """
    return divergence(log_mean_probability(scores), scores)


def entropy(scores: Scores) -> Float32[torch.Tensor, " image"]:
    """Return the entropy of the mean of the copies' probabilities.

    Args:
        scores: of the copies.

    Returns:
        A number per image, from 0 to the log of the number of classes, in nats.
    """
    log_probability = log_mean_probability(scores)
    return -(log_probability.exp() * log_probability).sum(dim=1)
