"""What a study may choose: a dimension for every field it varies."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.recipe_file import for_sigma

VARIED = ("sigma", "local", "sampling.num_estimate", "purifier", "classifier")
"""Fields that a study may vary, with what lies inside them."""

_WHOLE = ("local.num", "local.seed", "sampling.num_estimate")
"""Fields of whole numbers."""

_RANGE = {"low", "high", "log", "step"}

Point = Mapping[str, int | float]
"""For each dimension by its name, which of its choices, or a number of its range."""


@dataclass(frozen=True)
class Choices:
    """A field that takes one of some values."""

    field: str
    names: tuple[str, ...]
    """How each is called in tables."""

    values: tuple[Any, ...]
    """Each may be ``{per_sigma: ...}``."""

    @property
    def size(self) -> int:
        """How many."""
        return len(self.names)

    @property
    def ordered(self) -> bool:
        """Whether one is larger than another."""
        return all(_is_number(_first(value)) for value in self.values)

    def chosen(self, place: float, sigma: float) -> tuple[str, Any]:
        """Return the name and the value of a choice.

        Args:
            place: number of the choice.
            sigma: of the point.
        """
        value = for_sigma(self.values[int(place)], sigma, self.field)
        name = self.names[int(place)]
        return (f"{value:g}" if _is_number(value) else name), value


@dataclass(frozen=True)
class Range:
    """A field that takes any number between two."""

    field: str
    low: float
    high: float
    log: bool = False
    step: int | None = None
    """Between whole numbers; ``None`` for a continuous field."""

    @property
    def size(self) -> int | None:
        """How many values there are; ``None`` for a continuous field."""
        if self.step is None:
            return None
        return int((self.high - self.low) // self.step) + 1

    def chosen(self, place: float, sigma: float) -> tuple[str, Any]:
        """Return the name and the value of a point in the range.

        Args:
            place: number of the step, or the value itself.
            sigma: of the point, which it does not depend on.
        """
        value = place if self.step is None else int(self.low + self.step * place)
        return f"{value:g}", value


Dimension = Choices | Range


def dimension(field: str, written: Any) -> Dimension:
    """Read a dimension as a recipe writes it.

    Args:
        field: its dotted path in a run.
        written: a list of values; ``{low: ..., high: ...}`` with ``log`` or ``step``,
            whole numbers for a field of whole numbers; a mapping from name to value;
            ``{per_sigma: {...}}`` with a list of the same length for each sigma.

    Raises:
        ValueError: it is none of these, or the field is none that a study varies.
    """
    require_varied(field, "study.space")
    if isinstance(written, list) and written:
        _require_different(field, written)
        return Choices(field, tuple(map(str, written)), tuple(written))
    if isinstance(written, dict) and set(written) == {"per_sigma"}:
        return _per_sigma(field, written["per_sigma"])
    if isinstance(written, dict) and {"low", "high"} <= set(written) <= _RANGE:
        return _range(field, written)
    if isinstance(written, dict) and written and not set(written) & _RANGE:
        names = tuple(str(name) for name in written)
        return Choices(field, names, tuple(written.values()))
    raise ValueError(
        f"study.space needs a list of values, {{low: ..., high: ...}} or a mapping "
        f"from name to value; {field} has {written!r}. Write for example [0.12, 0.25]."
    )


def require_varied(field: str, where: str) -> None:
    """Refuse a field that is one setting for a whole study.

    Args:
        field: its dotted path in a run.
        where: part of the recipe that names it.

    Raises:
        ValueError: it is none that a study varies.
    """
    if not any(field == one or field.startswith(f"{one}.") for one in VARIED):
        raise ValueError(
            f"{where} needs fields of {', '.join(VARIED)}; it has {field!r}. "
            f"Everything else is one setting for the whole study: set it in the recipe."
        )


def _require_different(field: str, values: Sequence[Any]) -> None:
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError(
            f"study.space needs different values; {field} has {values!r}. List each "
            f"once."
        )


def _per_sigma(field: str, lists: Any) -> Choices:
    fits = isinstance(lists, dict) and all(isinstance(v, list) for v in lists.values())
    lengths = {len(values) for values in lists.values()} if fits else set()
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"study.space needs a list of the same length for every sigma; {field} has "
            f"{lists!r}. Write {{per_sigma: {{0.25: [...], 0.5: [...]}}}}."
        )
    values = tuple(
        {"per_sigma": {sigma: own[place] for sigma, own in lists.items()}}
        for place in range(lengths.pop())
    )
    return Choices(field, tuple(f"choice {n}" for n in range(len(values))), values)


def _range(field: str, written: Mapping[str, Any]) -> Range:
    low, high = written["low"], written["high"]
    step, log = written.get("step"), bool(written.get("log", False))
    whole = isinstance(low, int) and isinstance(high, int)
    if step is None and field in _WHOLE:
        step = 1
    fits = _is_number(low) and _is_number(high) and low < high
    stepped = whole and isinstance(step, int) and step >= 1
    if not fits or (step is not None and not stepped):
        raise ValueError(
            f"study.space needs low below high, and a step of at least 1 between whole "
            f"numbers; {field} has {dict(written)!r}. Write {{low: 0.1, high: 0.5}}."
        )
    if log and (low <= 0 or step is not None):
        raise ValueError(
            f"study.space needs log for a continuous field above 0 alone; {field} has "
            f"{dict(written)!r}. Write {{low: 0.01, high: 1.0, log: true}}, or list "
            f"values."
        )
    return Range(field, low, high, log, step)


def num_points(dimensions: Sequence[Dimension]) -> int | None:
    """Return how many points there are; ``None`` where a field is continuous."""
    sizes = [one.size for one in dimensions]
    return None if None in sizes else math.prod(size for size in sizes if size)


def grid(dimensions: Sequence[Dimension]) -> Iterator[Point]:
    """Yield every point, the last dimension fastest.

    Raises:
        ValueError: a field is continuous.
    """
    for one in dimensions:
        if one.size is None:
            raise ValueError(
                f"study.search grid needs fields with finitely many values; "
                f"{one.field} has a continuous range. List values, or take search "
                f"random or optuna."
            )
    for places in itertools.product(*(range(one.size or 0) for one in dimensions)):
        yield {one.field: place for one, place in zip(dimensions, places, strict=True)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _first(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"per_sigma"}:
        return next(iter(value["per_sigma"].values()))
    return value
