"""The part of a recipe that says how much is sampled and what is promised."""

import math
from typing import Annotated, Self

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from ops.certify.clopper_pearson import fewest_votes
from pipelines.part import Part


class Sampling(Part):
    """What one certificate samples and what it promises."""

    num_select: PositiveInt = 100
    """Draws spent on guessing the class (N0)."""

    num_estimate: PositiveInt = 10_000
    """Draws spent on bounding its probability (N)."""

    num_predict: PositiveInt | None = None
    """Draws spent on one prediction; ``None``: ten blocks."""

    block: PositiveInt = 100
    """Draws of one key: the unit of noise, counting and saving."""

    failure_probability: Annotated[float, Field(gt=0, lt=1)] = 0.001
    """Chance that one certificate or prediction is wrong (alpha)."""

    @model_validator(mode="after")
    def _whole_blocks(self) -> Self:
        for name in ("num_select", "num_estimate", "num_predict"):
            draws = getattr(self, name)
            if draws is not None and draws % self.block:
                raise ValueError(
                    f"sampling needs whole blocks of {self.block} draws; "
                    f"{name} has {draws}. Take {self._round_up(draws)}, or another "
                    f"sampling.block."
                )
        return self

    @model_validator(mode="after")
    def _can_certify_something(self) -> Self:
        asked = self.failure_probability
        least = int(fewest_votes(np.zeros(1), failure_probability=asked)[0])
        if self.num_estimate < least:
            raise ValueError(
                f"sampling needs num_estimate >= {least} to certify anything at "
                f"failure_probability {self.failure_probability}; it has "
                f"{self.num_estimate}. Raise num_estimate; 10,000 is usual."
            )
        return self

    @property
    def predict_blocks(self) -> int:
        """Blocks that one prediction reads."""
        return 10 if self.num_predict is None else self.num_predict // self.block

    def _round_up(self, draws: int) -> int:
        return self.block * math.ceil(draws / self.block)
