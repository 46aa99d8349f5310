"""What a recipe says of itself that no run can find out, for the tables."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from pipelines.part import Part


class About(Part):
    """What published tables say of a row; no vote and no certificate depends on it."""

    method: str | None = None
    """What the row is called; ``None``: by the recipe's name."""

    architecture: str | None = None
    """Of the classifier; ``None``: what its description says."""

    extra_data: bool | None = None
    """Whether a part was trained on more than the data set's own training images;
    ``None``: not said."""

    off_the_shelf: bool | None = None
    """Whether none of its networks was trained to be smoothed; ``None``: not said."""

    radii: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = ()
    """Radii of the table's columns, l2 distances in [0, 1] pixels, rising; none: every
    0.5 for ImageNet, every 0.25 for other data sets, as far as any image can reach."""

    @field_validator("method", "architecture")
    @classmethod
    def _fills_a_cell(cls, text: str | None) -> str | None:
        if text is not None and (not text.strip() or not text.isprintable()):
            raise ValueError(
                f"A table needs a line of text in each cell; it has {text!r}. Write "
                f"one line, or null for what follows from the recipe."
            )
        return text

    @field_validator("radii")
    @classmethod
    def _makes_columns(cls, radii: tuple[float, ...]) -> tuple[float, ...]:
        if any(one >= other for one, other in pairwise(radii)):
            raise ValueError(
                f"A table needs a column for each radius, from the least to the most; "
                f"it has {list(radii)}. Sort them, each once."
            )
        return radii
