"""Train a network to return the end of a diffusion model's path in one call."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from jaxtyping import Float32, Float64
from pydantic import Field

from ops.columns import Worker
from ops.losses.consistency_model import (
    ConsistencyModelObjective,
    Images,
    Level,
    neighbours,
    slow_copy,
    with_noise,
)
from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import Loss
from ops.pixels import to_signed
from ops.purify.denoiser import Denoiser
from ops.purify.open_denoiser import DenoisingNetwork

Solver = Literal["heun", "euler"]
Denoise = Callable[[Images, Float32[torch.Tensor, " image"]], Images]


class ConsistencyDistillation(ConsistencyModelObjective, frozen=True, extra="forbid"):
    """Distance of what the network says at two neighbours of a teacher's path.

    The network at the higher level learns from its slow copy at the lower one, to which
    the teacher leads in one step of a solver. All levels count the same.

    Source:
        Song et al. 2023, arXiv:2303.01469, equation 7 and algorithm 2, lambda = 1.
    """

    kind: Literal["consistency_distillation"] = "consistency_distillation"

    teacher: DenoisingNetwork
    """A diffusion model of any kind, trained on the same images; frozen."""

    solver: Solver = "heun"
    """Of the teacher's path: of second order with two calls, or of first with one."""

    target_decay: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """Share of itself that the slow copy keeps at each step (mu)."""

    def open(self, worker: Worker) -> Loss:
        """Load the teacher and what the metric needs, and return the loss.

        Args:
            worker: where to compute, and what reads the weights.

        Returns:
            A function of a learner with a target and of a minibatch, at least 0.

        Raises:
            ValueError: weights do not fit, or the teacher does not know all levels.
        """
        teacher = self.teacher.open_denoiser(worker)
        self._require_all_levels(teacher)
        distance = self.metric.open(worker)

        def loss(
            network: Callable[..., torch.Tensor], batch: Minibatch
        ) -> Float32[torch.Tensor, ""]:
            target = slow_copy(network, self.kind)
            low, high = neighbours(self.model.levels(), batch)
            noisy = with_noise(to_signed(batch.image), batch.gaussian("noise"), high)
            with torch.no_grad():
                below = step_down(teacher, noisy, high, low, self.solver)
                wanted = self.clean(target, below, low)
            return batch.mean(distance(self.clean(network, noisy, high), wanted))

        return loss

    def _require_all_levels(self, teacher: Denoiser) -> None:
        if teacher.highest < self.model.highest:
            raise ValueError(
                f"objective.model.highest needs to be a level that the teacher knows, "
                f"at most {teacher.highest:.6g} with {teacher.source}; it is "
                f"{self.model.highest}. Lower it, or take another teacher."
            )


def step_down(
    denoise: Denoise, noisy: Images, high: Level, low: Level, solver: Solver
) -> Images:
    """Return noisy images one step further down the path that a denoiser sees.

    Args:
        denoise: noisy images and their levels to clean images.
        noisy: at the higher levels.
        high: stds of their noise, on the [-1, 1] range.
        low: stds to arrive at, above 0.
        solver: of first or of second order.

    Source:
        Karras et al. 2022, arXiv:2206.00364, algorithm 1.
    """
    length = _wide(low - high)
    slope = _slope(denoise, noisy, high)
    arrived = noisy + length * slope
    if solver == "euler":
        return arrived
    return noisy + length * (slope + _slope(denoise, arrived, low)) / 2.0


def _slope(denoise: Denoise, noisy: Images, level: Level) -> Images:
    return (noisy - denoise(noisy, level.float())) / _wide(level)


def _wide(
    level: Float64[torch.Tensor, " image"],
) -> Float32[torch.Tensor, "image 1 1 1"]:
    return level.float().view(-1, 1, 1, 1)
