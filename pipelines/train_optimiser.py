"""How weights move: the algorithm, its step size, and how that changes."""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Literal, Self

import torch
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from pipelines.part import Part

Share = Annotated[float, Field(ge=0, lt=1)]


class AdamW(Part):
    """Adam with decoupled weight decay.

    Source:
        Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
    """

    kind: Literal["adamw"] = "adamw"

    def open(
        self, weights: Iterable[torch.nn.Parameter], weight_decay: float
    ) -> torch.optim.Optimizer:
        """Return the algorithm on some weights."""
        return torch.optim.AdamW(weights, weight_decay=weight_decay)


class Adam(Part):
    """Adam, whose weight decay is part of the gradient.

    Source:
        Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.
    """

    kind: Literal["adam"] = "adam"

    def open(
        self, weights: Iterable[torch.nn.Parameter], weight_decay: float
    ) -> torch.optim.Optimizer:
        """Return the algorithm on some weights."""
        return torch.optim.Adam(weights, weight_decay=weight_decay)


class RAdam(Part):
    """Adam that goes by momentum alone until it knows how gradients vary.

    Source:
        Liu et al. 2020, arXiv:1908.03265, algorithm 2.
    """

    kind: Literal["radam"] = "radam"

    def open(
        self, weights: Iterable[torch.nn.Parameter], weight_decay: float
    ) -> torch.optim.Optimizer:
        """Return the algorithm on some weights."""
        return torch.optim.RAdam(weights, weight_decay=weight_decay)


class Sgd(Part):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = "sgd"

    momentum: Share = 0.9
    """Share of its velocity that a step keeps."""

    nesterov: bool = False
    """Whether the gradient is corrected for where momentum leads."""

    def open(
        self, weights: Iterable[torch.nn.Parameter], weight_decay: float
    ) -> torch.optim.Optimizer:
        """Return the algorithm on some weights."""
        return torch.optim.SGD(
            weights,
            lr=0.0,  # every step sets it
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=weight_decay,
        )


class Cosine(Part):
    """The learning rate falls to 0 along half a cosine.

    Source:
        Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts.
    """

    kind: Literal["cosine"] = "cosine"

    def share(self, step: int, steps: int) -> float:
        """Return the share of the largest rate that is left, in [0, 1]."""
        return (1.0 + math.cos(math.pi * step / steps)) / 2.0


class Step(Part):
    """The learning rate is multiplied at given steps."""

    kind: Literal["step"] = "step"

    at: tuple[PositiveInt, ...]
    """Steps from which on the rate is smaller, rising."""

    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """By how much each time."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.at or any(a >= b for a, b in pairwise(self.at)):
            raise ValueError(
                f"A step schedule needs rising steps; at has {list(self.at)}. List "
                f"each once, in order."
            )
        return self

    def share(self, step: int, steps: int) -> float:
        """Return the share of the largest rate that is left, in [0, 1]."""
        return self.factor ** sum(step >= at for at in self.at)


class Constant(Part):
    """The learning rate stays."""

    kind: Literal["constant"] = "constant"

    def share(self, step: int, steps: int) -> float:
        """Return 1."""
        return 1.0


class Optimiser(Part):
    """Steps of an algorithm whose learning rate warms up linearly, then falls."""

    steps: PositiveInt
    """Updates of the weights."""

    batch: PositiveInt
    """Images per step, over all workers."""

    learning_rate: PositiveFloat
    """Largest step size."""

    algorithm: Annotated[AdamW | Adam | RAdam | Sgd, Field(discriminator="kind")] = (
        AdamW()
    )
    """What a gradient does to the weights."""

    schedule: Annotated[Cosine | Step | Constant, Field(discriminator="kind")] = (
        Cosine()
    )
    """How the learning rate falls."""

    warmup: NonNegativeInt = 30
    """Steps in which the learning rate rises to its largest."""

    weight_decay: NonNegativeFloat = 0.01
    """Share of the weights taken off per unit of learning rate."""

    clip_norm: PositiveFloat | None = None
    """Largest l2 norm of a step's gradient, to which a larger one is scaled."""

    accumulate: PositiveInt = 1
    """Parts in which a worker computes its share of a batch, to save memory."""

    ema_decay: Share = 0.99
    """Share of the averaged weights that a step keeps; 0 publishes the last weights."""

    @model_validator(mode="after")
    def _warms_up_within_the_training(self) -> Self:
        if self.warmup >= self.steps:
            raise ValueError(
                f"optimiser needs warmup below steps; they are {self.warmup} and "
                f"{self.steps}. Train longer or warm up less."
            )
        return self


def learning_rate_at(step: int, optimiser: Optimiser) -> float:
    """Return the learning rate of a step: a linear rise under the schedule's fall.

    Args:
        step: index from 0.
        optimiser: steps, warm-up, schedule and the largest rate.
    """
    rise = min(1.0, (step + 1) / (optimiser.warmup + 1))
    left = optimiser.schedule.share(step, optimiser.steps)
    return optimiser.learning_rate * rise * left
