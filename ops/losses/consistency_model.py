"""What objectives have in common that train a consistency model."""

from abc import ABC
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float32, Float64, Int64

from ops.losses.diffusion_objective import DiffusionObjective
from ops.losses.metric import Metric
from ops.losses.minibatch import Minibatch
from ops.purify.consistency_scalings import ConsistencySettings, consistency_function
from ops.purify.consistency_settings import consistency_scheduler
from ops.purify.levels import Levels

Images = Float32[torch.Tensor, "image channel height width"]
Level = Float64[torch.Tensor, " image"]


class ConsistencyModelObjective(DiffusionObjective, ABC, frozen=True, extra="forbid"):
    """An objective whose network returns the clean image of any level in one call."""

    model: ConsistencySettings = ConsistencySettings()
    """Levels, scales and what the network is told of a level."""

    metric: Metric
    """How far the network's images are from those they should be."""

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the training."""
        return {"objective": self.kind, "metric": self.metric.kind}

    def scheduler(self) -> dict[str, Any]:
        """Return the levels of noise, as a scheduler of diffusers."""
        return consistency_scheduler(self.model)

    def clean(
        self, network: Callable[..., torch.Tensor], noisy: Images, level: Level
    ) -> Images:
        """Return the images that a network sees behind noisy ones.

        Args:
            network: as for ``ops.purify.consistency_scalings.consistency_function``.
            noisy: images of the [-1, 1] range plus noise.
            level: std of each image's noise on that range.
        """

        def told(scaled: Images, time: torch.Tensor) -> Images:
            return network(scaled, time).float()

        return consistency_function(told, level, self.model)(noisy)


def neighbours(levels: Levels, batch: Minibatch) -> tuple[Level, Level]:
    """Return two neighbouring levels for each image, each pair as often as another.

    Args:
        levels: the grid.
        batch: whose images the levels are for.

    Returns:
        The lower and the higher.

    Source:
        Song et al. 2023, arXiv:2303.01469, algorithm 2, n ~ U[1, N - 1].
    """
    index = one_of(levels.num - 1, batch, "level")
    values = torch.from_numpy(levels.values()).to(index.device)
    return values[index], values[index + 1]


def one_of(num: int, batch: Minibatch, stream: str) -> Int64[torch.Tensor, " image"]:
    """Return an index below a number for each image, each as often as another.

    Args:
        num: of indices, from 0.
        batch: whose images the indices are for.
        stream: what they are for.
    """
    return (batch.uniform(stream) * num).long().clamp(max=num - 1)


def with_noise(signed: Images, noise: Images, level: Level) -> Images:
    """Return images with noise of each one's level.

    Args:
        signed: images in [-1, 1].
        noise: of mean 0 and std 1.
        level: std the noise gets.
    """
    return signed + level.float().view(-1, 1, 1, 1) * noise


def slow_copy(network: Any, kind: str) -> Callable[..., torch.Tensor]:
    """Return the slow copy of a network under training.

    Args:
        network: a :class:`~ops.losses.learner.Learner`.
        kind: of the objective that asks.

    Raises:
        ValueError: it has none.
    """
    target = getattr(network, "target", None)
    if target is None:
        raise ValueError(
            f"objective {kind} needs a Learner with a target, the slow copy of its "
            f"network; it has None. Open the training with the objective's "
            f"target_decay."
        )
    return target
