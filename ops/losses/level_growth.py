"""How many levels of noise a consistency model is trained on, step by step."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, Field, PositiveInt, model_validator


class _Growth(BaseModel, frozen=True, extra="forbid"):
    """A number of levels that grows."""

    first_levels: Annotated[int, Field(ge=2)]
    """Levels at the first step."""

    last_levels: Annotated[int, Field(ge=2)]
    """Levels at the end."""

    steps_to_last: PositiveInt
    """Steps after which they are that many."""

    @model_validator(mode="after")
    def _grows(self) -> "_Growth":
        if self.first_levels >= self.last_levels:
            raise ValueError(
                f"growth needs first_levels below last_levels; they are "
                f"{self.first_levels} and {self.last_levels}. Exchange or part them."
            )
        return self


class SquareRootGrowth(_Growth, frozen=True, extra="forbid"):
    """Levels whose square grows evenly.

    Source:
        Song et al. 2023, arXiv:2303.01469, appendix C, N(k), with s0 = first_levels and
        s1 = last_levels - 1.
    """

    kind: Literal["square_root"] = "square_root"

    def levels_at(self, step: int) -> int:
        """Return the levels of a step.

        Args:
            step: index from 0.
        """
        share = min(step / self.steps_to_last, 1.0)
        first, last = self.first_levels**2, self.last_levels**2
        return math.ceil(math.sqrt(first + share * (last - first)))


class DoublingGrowth(_Growth, frozen=True, extra="forbid"):
    """Levels whose intervals double at even distances.

    Source:
        Song and Dhariwal 2023, arXiv:2310.14189, equation 11, with s0 = first_levels -
        1 and s1 = last_levels - 1. Differs: the distance follows from the step of the
        last doubling, not from the length of the training.
    """

    kind: Literal["doubling"] = "doubling"

    def levels_at(self, step: int) -> int:
        """Return the levels of a step.

        Args:
            step: index from 0.
        """
        first, last = self.first_levels - 1, self.last_levels - 1
        num_doublings = math.ceil(math.log2(last / first))
        done = min(step * num_doublings // self.steps_to_last, num_doublings)
        return min(first * 2**done, last) + 1


LevelGrowth = Annotated[SquareRootGrowth | DoublingGrowth, Field(discriminator="kind")]
"""How a number of levels grows; chosen by ``kind``."""
