"""The grid of noise levels that Karras et al. step through."""

from typing import Annotated

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, Field, PositiveFloat, model_validator


class Levels(BaseModel, frozen=True, extra="forbid"):
    """Levels of noise from the least to the most, denser where there is little.

    A level is the std of the noise beside an unscaled image in [-1, 1], twice a sigma.

    Source:
        Karras et al. 2022, arXiv:2206.00364, equation 5; Song et al. 2023,
        arXiv:2303.01469, section 2.
    """

    num: Annotated[int, Field(ge=2)] = 18
    """Levels (N)."""

    lowest: PositiveFloat = 0.002
    """The first of them."""

    highest: PositiveFloat = 80.0
    """The last of them."""

    rho: PositiveFloat = 7.0
    """How much denser low levels are; 1 spaces them evenly."""

    @model_validator(mode="after")
    def _rise(self) -> "Levels":
        if self.lowest >= self.highest:
            raise ValueError(
                f"levels needs lowest < highest; they are {self.lowest} and "
                f"{self.highest}. Exchange or part them."
            )
        return self

    def values(self) -> Float64[np.ndarray, " level"]:
        """Return the levels, rising; both ends exact."""
        low, high = self.lowest ** (1 / self.rho), self.highest ** (1 / self.rho)
        values = np.linspace(low, high, self.num) ** self.rho
        values[[0, -1]] = self.lowest, self.highest
        return values

    def nearest(self, level: float) -> int:
        """Return the index of the nearest level; of two as near, the lower.

        Args:
            level: std of the noise on the [-1, 1] range, above 0.

        Raises:
            ValueError: the level is above all of them.
        """
        if level > self.highest:
            raise ValueError(
                f"levels needs highest of at least {level:.4g}, the std that sigma "
                f"{level / 2:.4g} has on the [-1, 1] range; it is {self.highest}. Take "
                f"a smaller sigma or another purifier."
            )
        return int(np.abs(self.values() - level).argmin())
