"""What kind of recipe a YAML file is: a run, a study or a training."""

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["run", "study", "training"]

_WHAT = {
    "run": "A run needs a recipe of one setting for each sigma",
    "study": "A study needs a recipe with a study",
    "training": "A training needs a recipe with network, objective and optimiser",
}
_IS = {
    "run": "is one of a run. Run diffsmooth certify {name}",
    "study": "has study, which searches for settings. Run diffsmooth tune {name}",
    "training": "is one of a training. Run diffsmooth train {name}",
}


def kind_of(raw: Mapping[str, Any]) -> Kind | None:
    """Return what a recipe is of, by its fields; ``None`` where they do not tell.

    Args:
        raw: its mapping.
    """
    if "study" in raw:
        return "study"
    if "objective" in raw and "sigma" not in raw:
        return "training"
    return "run" if "sigma" in raw else None


def require_kind(raw: Mapping[str, Any], name: str, wanted: Kind) -> None:
    """Refuse a recipe of another kind with the verb that takes it.

    Args:
        raw: its mapping.
        name: of the recipe.
        wanted: what the verb takes.

    Raises:
        ValueError: it is of another kind.
    """
    found = kind_of(raw)
    if found not in (wanted, None):
        raise ValueError(f"{_WHAT[wanted]}; {name} {_IS[found].format(name=name)}.")
