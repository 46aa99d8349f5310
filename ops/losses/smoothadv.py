"""Train a classifier on images that an attack on its smoothed self has shifted."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float32, Int64
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from ops.attack.attack import Attack
from ops.losses.copies import mean_cross_entropy, misclassified, scores_of_copies
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import OneSigma
from ops.losses.warm_up import warm_up

Images = Float32[torch.Tensor, "image channel height width"]


class SmoothAdvObjective(OneSigma, frozen=True, extra="forbid"):
    """Cross entropy on noisy attacked images, under the noise the attack met.

    Source:
        Salman et al. 2019, arXiv:1906.04584, algorithm 1.
    """

    kind: Literal["smoothadv"] = "smoothadv"
    trains: ClassVar[str] = "classifier"

    attack: Attack
    """How images are shifted."""

    attack_radius: NonNegativeFloat
    """L2 norm that no shift exceeds, in [0, 1] pixels; 0 is Gaussian training."""

    num_noise: PositiveInt = 1
    """Noises of each image under which it is attacked (m)."""

    train_on_all: bool = False
    """Whether the attacked image is learned under all of its noises, or the first."""

    warmup_steps: NonNegativeInt = 0
    """Steps over which the radius rises to its full length."""

    def loss(self, learner: Learner, batch: Minibatch) -> Float32[torch.Tensor, ""]:
        """Return the mean loss over a worker's share of a step.

        Args:
            learner: maps noisy images to class scores; attacked at rest.
            batch: images and labels, with the noise that belongs to them.

        Returns:
            A scalar of at least 0, in nats.
        """
        noises = batch.noises(self.num_noise, self.sigma_train)
        image = self.attacked(learner, batch, noises)
        learned = noises if self.train_on_all else noises[:1]
        return batch.mean(noisy_loss(learner, image, batch.label, learned))

    def attacked(
        self, learner: Learner, batch: Minibatch, noises: Sequence[Images]
    ) -> Images:
        """Return a step's images as the attack leaves them.

        Args:
            learner: the classifier that is attacked, in evaluation mode.
            batch: images and labels.
            noises: of each image, in [0, 1] pixels.

        Returns:
            Pixels in [0, 1].
        """
        radius = self.attack_radius * warm_up(batch.step, self.warmup_steps)
        with learner.at_rest() as scores:
            goal = misclassified(scores, batch.label, noises)
            return self.attack.perturbed(goal, batch.image, radius)


def noisy_loss(
    network: Callable[..., torch.Tensor],
    image: Images,
    label: Int64[torch.Tensor, " image"],
    noises: Sequence[Images],
) -> Float32[torch.Tensor, " image"]:
    """Return the mean cross entropy of the class scores of several noisy copies.

    Args:
        network: maps noisy images to class scores.
        image: pixels in [0, 1].
        label: true classes.
        noises: one for each copy, in [0, 1] pixels.

    Returns:
        A number per image, at least 0, in nats.
    """
    return mean_cross_entropy(scores_of_copies(network, image, noises), label)
