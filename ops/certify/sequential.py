"""The rule that looks while votes come in: its settings, and the table they give."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import BaseModel, Field, model_validator
from scipy.special import ndtr

from ops.certify.boundary import NONE, boundary, give_up
from ops.certify.clopper_pearson import largest_radius
from ops.certify.e_process import most_failures
from ops.certify.failure_law import crossing_probability
from ops.certify.looks import Table

Preset = Literal["default", "aggressive", "anytime"]

NEAR_CAP = 2.5
"""Radii above this many sigmas are worked off last: they take most of the votes."""

_MAJORITY_SHARE = 0.1
_RATIO = 1.1


@dataclass(frozen=True)
class _Design:
    """What a preset stands for."""

    votes: float
    """Most votes, in units of the N whose table is matched."""

    doubt: float
    """Chance of giving up an image that would just be certified."""

    on_label: bool
    """Whether images are given up whose label cannot be certified."""

    anytime: bool
    """Whether votes may be added for ever."""


_DESIGNS: Mapping[Preset, _Design] = {
    "default": _Design(1.25, 0.02, False, False),
    "aggressive": _Design(1.5, 0.2, True, False),
    "anytime": _Design(2.0, 0.05, False, True),
}


class Sequential(BaseModel, frozen=True, extra="forbid"):
    """Look after every few blocks, and stop an image when nothing more is to be won."""

    kind: Literal["sequential"] = "sequential"

    preset: Preset = "default"
    """Exact and careful; quick to give up; or open to more votes later."""

    radii: tuple[Annotated[float, Field(ge=0, lt=math.inf)], ...] | None = None
    """l2 distances in [0, 1] pixels to certify, ascending; the majority (0) is always
    among them. ``None``: the data set's step up to what N votes can reach."""

    near_cap: bool = True
    """Whether radii above 2.5 sigma are certified too, in a second pass."""

    family_wise: bool = False
    """Whether all images together share the failure probability."""

    @model_validator(mode="after")
    def _radii_ascend(self) -> "Sequential":
        radii = self.radii
        if radii is not None and (not radii or list(radii) != sorted(set(radii))):
            raise ValueError(
                f"rule needs radii that ascend, at least one; radii has {list(radii)}. "
                f"Sort them and leave out repetitions."
            )
        return self

    def most_votes(self, num_estimate: int, block: int) -> int:
        """Return the votes of one image at most, in whole blocks.

        Args:
            num_estimate: the N whose table is matched.
            block: votes in a block.
        """
        wanted = _DESIGNS[self.preset].votes * num_estimate
        return block * math.ceil(wanted / block - 1e-9)

    def table(
        self,
        sigma: float,
        num_estimate: int,
        *,
        block: int,
        failure_probability: float,
        step: float,
    ) -> Table:
        """Return which counts certify, and which are given up, at every look.

        A tenth of the failure probability goes to the majority, hence to the guess of
        the class; nine tenths go to each other radius, as each is claimed only after
        all smaller ones.

        Args:
            sigma: std of the certified noise, in [0, 1] pixels.
            num_estimate: the N whose table is matched.
            block: votes in a block; looks lie at whole blocks.
            failure_probability: chance that one image's certificate is wrong.
            step: of the radii where the rule names none, in [0, 1] pixels.

        Raises:
            ValueError: a radius that the rule names cannot be reached.

        Source:
            Group-sequential testing (Lan and DeMets 1983) with a spending function,
            or an e-process; gatekeeping over radii as in Maurer et al. 1995.
        """
        design = _DESIGNS[self.preset]
        looks = looks_of(self.most_votes(num_estimate, block), block)
        radii = self._radii(sigma, num_estimate, failure_probability, step)
        rows = []
        for radius in radii:
            rate, share = float(ndtr(-radius / sigma)), _level_share(radius)
            row = _row(design, rate, looks, share * failure_probability)
            if row[0][-1] != NONE:
                rows.append((radius, *row))
            elif self.radii is not None or not rows:
                raise ValueError(_out_of_reach(radius, sigma, int(looks[-1])))
        named, certify, futile, chances = zip(*rows, strict=True)
        return Table(
            radii=np.array(named),
            looks=looks,
            certify=np.stack(certify),
            give_up=np.stack(futile),
            crossing_probability=np.array(chances),
            on_label=design.on_label,
            anytime=design.anytime,
        )

    def _radii(
        self, sigma: float, num_estimate: int, failure_probability: float, step: float
    ) -> list[float]:
        if self.radii is None:
            reach = largest_radius(sigma, num_estimate, failure_probability)
            radii = [step * number for number in range(math.floor(reach / step) + 1)]
        else:
            radii = sorted({0.0, *self.radii})
        return [r for r in radii if self.near_cap or r <= NEAR_CAP * sigma]


def looks_of(most_votes: int, block: int) -> Int64[np.ndarray, " look"]:
    """Return when one looks: after each block, then about a tenth apart.

    Args:
        most_votes: the last look, a whole number of blocks.
        block: votes in a block.
    """
    looks = [1]
    while looks[-1] * block < most_votes:
        following = max(looks[-1] + 1, round(_RATIO * looks[-1]))
        looks.append(min(most_votes // block, following))
    return block * np.array(looks)


def _level_share(radius: float) -> float:
    """Return which part of the failure probability a radius may spend."""
    return _MAJORITY_SHARE if radius == 0 else 1.0 - _MAJORITY_SHARE


def _row(
    design: _Design, rate: float, looks: np.ndarray, level: float
) -> tuple[Int64[np.ndarray, " look"], Int64[np.ndarray, " look"], float]:
    """Return what certifies a threshold, what is given up, the chance of crossing."""
    if design.anytime:
        certify = most_failures(rate, looks, level=level)
        chance = crossing_probability(rate, looks, certify)
    else:
        exact = boundary(rate, looks, level=level)
        certify, chance = exact.most_failures, exact.crossing_probability
    return certify, give_up(certify, looks, doubt=design.doubt), chance


def _out_of_reach(radius: float, sigma: float, most_votes: int) -> str:
    remedy = "Leave it out of rule.radii, or raise" if radius else "Raise"
    return (
        f"rule needs radii that can be certified; at sigma {sigma:g} no image reaches "
        f"{radius:g} with {most_votes:,} votes. {remedy} sampling.num_estimate."
    )


def passes(table: Table, sigma: float) -> tuple[Table, ...]:
    """Return the tables that are worked off one after the other, the whole one last.

    Args:
        table: of all radii.
        sigma: std of the certified noise, in [0, 1] pixels.
    """
    far = int((table.radii <= NEAR_CAP * sigma).sum())
    return (table,) if far == len(table.radii) else (table.up_to(far), table)
