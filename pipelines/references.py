"""References to weights, wherever they stand in a recipe."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from ops.weights import WeightsRef
from pipelines.weight_files import Named

Model = TypeVar("Model", bound=BaseModel)


def references_in(part: BaseModel) -> dict[str, WeightsRef]:
    """Return the references to weights inside a part of a recipe.

    Args:
        part: a model, of models and tuples of them.

    Returns:
        References by dotted path, such as ``classifier.members.0.weights``, in the
        order of the fields.
    """
    return dict(_found(part, ""))


def with_references(part: Model, changed: Mapping[str, WeightsRef]) -> Model:
    """Return a part of a recipe with other references to weights.

    Args:
        part: as for :func:`references_in`.
        changed: what to put in place of a reference, by its dotted path.

    Raises:
        ValueError: the part has no reference at one of the paths.
    """
    known = references_in(part)
    for path in changed:
        if path not in known:
            raise ValueError(
                f"{type(part).__name__} needs weights at {path!r} to replace them; it "
                f"has them at {list(known)}. Name one of these."
            )
    return _replaced(part, "", changed)


def named_recipes(part: BaseModel) -> list[Named]:
    """Return the training recipes whose weights a part of a recipe reads, each once.

    Args:
        part: as for :func:`references_in`.
    """
    named = [
        (reference.recipe, reference.settings)
        for reference in references_in(part).values()
        if reference.recipe is not None
    ]
    return list(dict.fromkeys(named))


def is_untrained(part: BaseModel) -> bool:
    """Return whether any weights inside a part of a recipe are random.

    Args:
        part: as for :func:`references_in`.
    """
    return any(one.untrained is not None for one in references_in(part).values())


def _found(value: Any, path: str) -> Iterator[tuple[str, WeightsRef]]:
    if isinstance(value, WeightsRef):
        yield path, value
        return
    for name, entry in _entries(value).items():
        yield from _found(entry, _inside(path, name))


def _replaced(value: Any, path: str, changed: Mapping[str, WeightsRef]) -> Any:
    if isinstance(value, WeightsRef):
        return changed.get(path, value)
    entries = _entries(value)
    new = {n: _replaced(one, _inside(path, n), changed) for n, one in entries.items()}
    moved = {name: one for name, one in new.items() if one is not entries[name]}
    if not moved:
        return value
    if isinstance(value, tuple):
        return tuple(new.values())
    return value.model_copy(update=moved)


def _entries(value: Any) -> dict[str, Any]:
    """Return what a model or a tuple holds, by name or number; of others, nothing."""
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, tuple):
        return {str(number): entry for number, entry in enumerate(value)}
    return {}


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
