"""What a person reads when a recipe does not hold together."""

import difflib
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel], recipe: str) -> str:
    """Return a validation error as one sentence a problem.

    Args:
        error: what pydantic says.
        model: the model that was validated.
        recipe: name of the recipe.
    """
    return "\n".join(_sentence(dict(e), model, recipe) for e in error.errors())


def _sentence(problem: dict[str, Any], model: type[BaseModel], recipe: str) -> str:
    location, value = problem["loc"], problem.get("input")
    field = ".".join(str(part) for part in _without_tags(location, model))
    field = field.replace("data.source.", "data.")  # written side by side in a recipe
    kind = problem["type"]
    if kind == "extra_forbidden":
        known = fields_at(model, location[:-1])
        if "source" in location:
            known += [f for f in fields_at(model, location[:1]) if f != "source"]
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
        advice = f"Did you mean {near[0]!r}? " if near else ""
        return (
            f"Recipe {recipe} needs fields it knows; {field!r} is none of them. "
            f"{advice}Known here: {', '.join(sorted(known))}."
        )
    if kind == "missing":
        return (
            f"Recipe {recipe} needs the field {field!r}; it has no value. "
            f"Add it, or set it with --set {field}=..."
        )
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _unknown_kind(problem, field, recipe)
    if kind == "value_error":
        return f"Recipe {recipe}: {_placed(str(problem['ctx']['error']), field)}"
    return (
        f"Recipe {recipe} needs {field!r} to fit: {problem['msg'].lower()}; "
        f"it has {value!r}. Set it with --set {field}=..."
    )


def _placed(sentence: str, field: str) -> str:
    """Return what a part says of itself, with the path to the part, once."""
    last = field.rpartition(".")[2]
    if sentence.startswith((f"{last} ", f"{last}.")):
        return f"{field.removesuffix(last)}{sentence}"
    return f"{field}: {sentence}" if field else sentence


def _unknown_kind(problem: dict[str, Any], field: str, recipe: str) -> str:
    context = problem["ctx"]
    tag = context["discriminator"].strip("'")
    has = f"{context['tag']!r}" if "tag" in context else "no value"
    expected = context.get("expected_tags", "one it knows")
    return (
        f"Recipe {recipe} needs a known {tag} in {field!r}; it has {has}. "
        f"Known: {expected}."
    )


def fields_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Return the names of the fields a model knows at some place inside it.

    Args:
        model: where to begin.
        location: field names, list indices and union tags on the way down.
    """
    here: Any = model
    for part in location:
        here = _step(here, part)
    return list(here.model_fields) if _is_model(here) else []


def _step(here: Any, part: int | str) -> Any:
    if _is_model(here) and part in here.model_fields:
        return _unwrapped(here.model_fields[part].annotation)
    if isinstance(part, int) and typing.get_origin(here) is tuple:
        return _bare(typing.get_args(here)[0])
    for member in typing.get_args(here):
        if _is_model(member) and part in _tags(member):
            return member
    return here


def _unwrapped(annotation: Any) -> Any:
    """Return the one model that a field may hold besides None, if it is like that."""
    members = [m for m in typing.get_args(annotation) if _is_model(m)]
    optional = type(None) in typing.get_args(annotation)
    return members[0] if optional and len(members) == 1 else annotation


def _bare(annotation: Any) -> Any:
    """Return an annotation without what is said beside it."""
    beside = typing.get_origin(annotation) is typing.Annotated
    return typing.get_args(annotation)[0] if beside else annotation


def _without_tags(
    location: Sequence[int | str], model: type[BaseModel]
) -> list[int | str]:
    """Return a location with the union tags, which no recipe writes, left out."""
    here: Any = model
    kept = []
    for part in location:
        if _is_model(here) or isinstance(part, int):
            kept.append(part)
        here = _step(here, part)
    return kept


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)


def _tags(member: type[BaseModel]) -> set[Any]:
    return {
        tag
        for name in ("kind", "source")
        if name in member.model_fields
        for tag in typing.get_args(member.model_fields[name].annotation)
    }
