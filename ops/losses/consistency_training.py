"""Train a network to return one image at all levels of noise, without a teacher."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from jaxtyping import Float32
from pydantic import Field, model_validator

from ops.columns import Worker
from ops.losses.consistency_model import (
    ConsistencyModelObjective,
    neighbours,
    slow_copy,
    with_noise,
)
from ops.losses.level_growth import LevelGrowth
from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import Loss
from ops.pixels import to_signed


class ConsistencyTraining(ConsistencyModelObjective, frozen=True, extra="forbid"):
    """Distance of what the network says at two levels of the same noise.

    The more levels, the nearer the two and the less the loss is off, but the more it
    varies; so their number grows. All levels count the same.

    Source:
        Song et al. 2023, arXiv:2303.01469, equation 10 and algorithm 3, lambda = 1.
        Differs: the slow copy is as slow at every step. With ``target_decay`` 0 it is
        the network itself, as in Song and Dhariwal 2023, arXiv:2310.14189, section 3.2.
    """

    kind: Literal["consistency_training"] = "consistency_training"

    growth: LevelGrowth
    """How the number of levels grows; the last is ``model.num_levels``."""

    target_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of itself that the slow copy keeps at each step (mu)."""

    @model_validator(mode="after")
    def _ends_on_its_grid(self) -> "ConsistencyTraining":
        last, num = self.growth.last_levels, self.model.num_levels
        if last != num:
            raise ValueError(
                f"consistency_training needs growth to end on the levels of its model; "
                f"growth.last_levels is {last} and model.num_levels {num}. Set one to "
                f"the other."
            )
        return self

    def open(self, worker: Worker) -> Loss:
        """Load what the metric needs and return the loss.

        Args:
            worker: where to compute, and what reads the weights.

        Returns:
            A function of a learner with a target and of a minibatch, at least 0.

        Raises:
            ValueError: the metric's weights do not fit.
        """
        distance = self.metric.open(worker)

        def loss(
            network: Callable[..., torch.Tensor], batch: Minibatch
        ) -> Float32[torch.Tensor, ""]:
            target = slow_copy(network, self.kind)
            num = self.growth.levels_at(batch.step)
            levels = self.model.levels().model_copy(update={"num": num})
            low, high = neighbours(levels, batch)
            signed, noise = to_signed(batch.image), batch.gaussian("noise")
            with torch.no_grad():
                wanted = self.clean(target, with_noise(signed, noise, low), low)
            found = self.clean(network, with_noise(signed, noise, high), high)
            return batch.mean(distance(found, wanted))

        return loss
