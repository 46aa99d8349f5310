"""What a foreign log does not say of itself, and must be told with ``--set``."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from pipelines.part import Part
from pipelines.recipe_file import Raw, apply_setting

_CLASSES = {"imagenet": 1000, "cifar100": 100, "cifar10": 10, "digits": 10}


class ImportSettings(Part):
    """How the certificates of a log were made, as its reader knows."""

    sigma: PositiveFloat
    """Std of the certified noise, in [0, 1] pixels."""

    num_estimate: PositiveInt
    """Votes that each certificate rests on (N)."""

    dataset: Annotated[str, Field(min_length=1)]
    """Name of the data set, as reports beside it have it."""

    num_classes: PositiveInt
    """Classes of the data set; known for ImageNet, CIFAR and the digits."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the run in tables."""

    num_select: PositiveInt | None = None
    """Votes that the class was guessed from (N0); ``None`` where nobody knows."""

    failure_probability: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Chance that one certificate is wrong (alpha); ``None`` reads it off the radii."""


_EXAMPLES = {
    "sigma": "0.25",
    "num_estimate": "100000",
    "dataset": "imagenet",
    "num_classes": "1000",
}


def import_settings(settings: Sequence[str], stem: str, log: str) -> ImportSettings:
    """Return what was told about a log.

    Args:
        settings: ``field=value`` each.
        stem: name of the run where none is set.
        log: what to call the log in an error.

    Raises:
        ValueError: a field is missing, unknown or impossible.
    """
    raw: Raw = {"name": stem}
    for setting in settings:
        apply_setting(raw, setting)
    known = _classes_of(raw.get("dataset"))
    if known is not None:
        raw.setdefault("num_classes", known)
    try:
        return ImportSettings.model_validate(raw)
    except ValidationError as error:
        problems = [dict(problem) for problem in error.errors()]
        raise ValueError(_explained(problems, log)) from error


def _classes_of(dataset: object) -> int | None:
    """Return the number of classes of a data set known by the start of its name."""
    name = str(dataset).lower()
    return next(
        (num for known, num in _CLASSES.items() if name.startswith(known)), None
    )


def _explained(problems: Sequence[dict[str, Any]], log: str) -> str:
    missing = [str(e["loc"][0]) for e in problems if e["type"] == "missing"]
    if missing:
        settings = " ".join(f"--set {name}={_EXAMPLES[name]}" for name in missing)
        return (
            f"import needs {', '.join(missing)}; {log} does not say. "
            f"Add what fits, for example {settings}."
        )
    first = problems[0]
    field = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return (
            f"import needs settings it knows; {field!r} is none of them. "
            f"Known: {', '.join(sorted(ImportSettings.model_fields))}."
        )
    return (
        f"import needs {field!r} to fit: {str(first['msg']).lower()}; it has "
        f"{first.get('input')!r}. Set it with --set {field}=..."
    )
