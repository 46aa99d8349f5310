"""What an image may cost, and the number that follows from it."""

from typing import Literal, Self

from pydantic import PositiveFloat, PositiveInt, model_validator

from pipelines.part import Part
from tune.cost import Cost

Unit = Literal["flops", "seconds", "classifier_calls"]


class Like(Part):
    """A setting whose cost is the budget."""

    num_estimate: PositiveInt
    """Noisy copies per image (N)."""

    num_local: PositiveInt
    """Local noises per copy (m)."""


class Budget(Part):
    """What an image may cost: N noisy copies, each purified once, classified m times.

    Source:
        Zhang et al. 2023, arXiv:2308.14333, tables 6 and 7, keep N m constant: unit
        ``classifier_calls``, for which the purifier costs nothing.
    """

    per_image: PositiveFloat | None = None
    """In ``unit``."""

    like: Like | None = None
    """Instead of ``per_image``: as much as this setting costs."""

    unit: Unit = "flops"
    """Floating-point operations; seconds of the device at hand; or classifier calls."""

    derive: Literal["num_estimate", "num_local"] = "num_estimate"
    """What follows from the rest."""

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if (self.per_image is None) == (self.like is None):
            raise ValueError(
                f"budget needs either per_image or like; it has per_image "
                f"{self.per_image} and like {self.like}. Give one of them."
            )
        return self

    @property
    def derived_field(self) -> str:
        """Field of a run that follows from the budget."""
        fields = {"num_estimate": "sampling.num_estimate", "num_local": "local.num"}
        return fields[self.derive]

    def amount(self, cost: Cost) -> float:
        """Return the budget of an image.

        Args:
            cost: of the networks' calls, in the budget's unit.
        """
        if self.like is None:
            assert self.per_image is not None  # one of the two is set
            return self.per_image
        return cost.of_image(self.like.num_estimate, self.like.num_local)

    def num_estimate(self, cost: Cost, num_local: int, block: int) -> int:
        """Return the most noisy copies, in whole blocks, that the budget pays for.

        Args:
            cost: of the networks' calls.
            num_local: local noises of each copy (m).
            block: copies in a block.

        Raises:
            ValueError: not one block.
        """
        each = cost.purify + num_local * cost.classify
        blocks = int(self.amount(cost) / (each * block) + _ROUNDING)
        if not blocks:
            raise ValueError(
                f"study.budget needs to pay for one block of {block} copies with m = "
                f"{num_local}, {each * block:.4g} {self.unit}; it has "
                f"{self.amount(cost):.4g}. Raise it, or lower local.num."
            )
        return blocks * block

    def num_local(self, cost: Cost, num_estimate: int) -> int:
        """Return the most local noises that the budget pays for.

        Args:
            cost: of the networks' calls.
            num_estimate: noisy copies (N).

        Raises:
            ValueError: not one.
        """
        left = self.amount(cost) / num_estimate - cost.purify
        num = int(left / cost.classify + _ROUNDING)
        if num < 1:
            raise ValueError(
                f"study.budget needs to pay for one local noise of N = "
                f"{num_estimate:,} copies, {cost.of_image(num_estimate, 1):.4g} "
                f"{self.unit}; it has {self.amount(cost):.4g}. Raise it, or lower N."
            )
        return num


_ROUNDING = 1e-9
"""A budget that is a whole number of blocks, up to rounding, pays for all of them."""
