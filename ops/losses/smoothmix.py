"""Train a classifier to be less sure on the way from an image to where it errs."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float32, Int64
from pydantic import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from ops.attack.ascent import Goal, steepest, within
from ops.losses.copies import (
    Scores,
    divergence,
    log_mean_probability,
    mean_cross_entropy,
    misclassified,
    scores_of_copies,
)
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import OneSigma
from ops.losses.warm_up import warm_up

Images = Float32[torch.Tensor, "image channel height width"]
Shares = Float32[torch.Tensor, " image"]


class SmoothMixObjective(OneSigma, frozen=True, extra="forbid"):
    """Cross entropy on noisy images, and a softened guess between them and an attack.

    The softened guess is the network's own; gradients flow through it, as in the
    authors' code. Differs: both sides go through the network in one call, so that
    batch norms see them together; the authors call it twice.

    Source:
        Jeong et al. 2021, arXiv:2111.09277, section 3.
    """

    kind: Literal["smoothmix"] = "smoothmix"
    trains: ClassVar[str] = "classifier"

    sigma_train: PositiveFloat
    """Std of the noise, in [0, 1] pixels."""

    num_noise: PositiveInt = 2
    """Noisy copies of each image (m)."""

    attack_steps: PositiveInt = 4
    """Steps of the attack, which no ball holds (T)."""

    step_length: PositiveFloat
    """L2 norm of a step of the attack, in [0, 1] pixels (alpha)."""

    mix_weight: NonNegativeFloat = 5.0
    """Weight of the softened guess beside the cross entropy (eta)."""

    warmup_steps: NonNegativeInt = 0
    """Steps over which ``mix_weight`` rises to its full size."""

    one_step_adversary: bool = False
    """Whether the image after the attack's first step stands for the clean one, its
    shift no longer than ``step_length``, and less during the warm-up."""

    @model_validator(mode="after")
    def _goes_on_from_the_first_step(self) -> "SmoothMixObjective":
        if self.one_step_adversary and self.attack_steps == 1:
            raise ValueError(
                "one_step_adversary needs an attack that goes on after its first "
                "step; attack_steps is 1. Take more, or do without it."
            )
        return self

    def loss(self, learner: Learner, batch: Minibatch) -> Float32[torch.Tensor, ""]:
        """Return the mean loss over a worker's share of a step.

        Args:
            learner: maps noisy images to class scores; attacked at rest.
            batch: images and labels, with noise and shares that belong to them.

        Returns:
            A scalar of at least 0, in nats.
        """
        noises = batch.noises(self.num_noise, self.sigma_train)
        near, far = self.ends(learner, batch, noises)
        share = batch.uniform("mix") / 2.0
        mixed = near.lerp(far, share.view(-1, 1, 1, 1))
        of_near, of_mixed = _scores_of_both(learner, near, mixed, noises)
        losses = mean_cross_entropy(of_near, batch.label)
        weight = self.mix_weight * warm_up(batch.step, self.warmup_steps)
        softened = mix_loss(of_near, of_mixed, share, batch.label)
        return batch.mean(losses + weight * softened)

    def ends(
        self, learner: Learner, batch: Minibatch, noises: Sequence[Images]
    ) -> tuple[Images, Images]:
        """Return the two ends between which images are mixed.

        Args:
            learner: the classifier that is attacked, in evaluation mode.
            batch: images and labels.
            noises: of each image, in [0, 1] pixels.

        Returns:
            The clean side and the attacked one, pixels in [0, 1].
        """
        with learner.at_rest() as scores:
            goal = misclassified(scores, batch.label, noises)
            path = climbed(goal, batch.image, self.attack_steps, self.step_length)
        if not self.one_step_adversary:
            return batch.image, path[-1]
        longest = self.step_length * warm_up(batch.step, self.warmup_steps)
        return batch.image + within(path[1] - batch.image, longest), path[-1]


def _scores_of_both(
    network: Callable[..., torch.Tensor],
    near: Images,
    mixed: Images,
    noises: Sequence[Images],
) -> tuple[Scores, Scores]:
    image = torch.cat([near, mixed])
    doubled = [torch.cat([noise, noise]) for noise in noises]
    scores = scores_of_copies(network, image, doubled)
    of_near, of_mixed = scores.tensor_split(2, dim=1)
    return of_near, of_mixed


def climbed(goal: Goal, image: Images, steps: int, length: float) -> list[Images]:
    """Return the places of an ascent that only the range of pixels bounds.

    Args:
        goal: what is climbed.
        image: where it begins, pixels in [0, 1].
        steps: of the ascent.
        length: l2 norm of a step, in [0, 1] pixels.

    Returns:
        The image itself and the images after each step.
    """
    path = [image]
    for _ in range(steps):
        direction, _ = steepest(goal, path[-1])
        path.append((path[-1] + length * direction).clamp(0.0, 1.0))
    return path


def log_softened(scores: Scores, share: Shares) -> Float32[torch.Tensor, "image class"]:
    """Return the log of a guess mixed with no guess at all.

    Args:
        scores: of the copies, whose probabilities are averaged.
        share: of the uniform distribution over classes, in [0, 1).

    Returns:
        Logs of probabilities.
    """
    uniform = torch.log(share / scores.shape[2]).unsqueeze(1)
    return torch.logaddexp(
        torch.log1p(-share).unsqueeze(1) + log_mean_probability(scores), uniform
    )


def mix_loss(
    near: Scores, mixed: Scores, share: Shares, label: Int64[torch.Tensor, " image"]
) -> Float32[torch.Tensor, " image"]:
    """Return how far guesses of mixed images are from softened guesses of near ones.

    Args:
        near: scores of the copies of the clean side.
        mixed: scores of the copies of the mixed images.
        share: of the attacked side in the mixed images, in [0, 1/2].
        label: true classes.

    Returns:
        The mean over copies of KL(softened guess || copy), at least 0, in nats; 0,
        and without gradient, where the clean side's guess is wrong.

    Source:
        Jeong et al. 2021, arXiv:2111.09277, section 3.
    """
    right = log_mean_probability(near).argmax(dim=1) == label
    return torch.where(right, divergence(log_softened(near, share), mixed), 0.0)
