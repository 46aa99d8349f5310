"""Recipes as YAML: found, read, changed by ``--set``, and taken apart by sigma."""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

Raw = dict[str, Any]

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def packaged_recipes() -> list[str]:
    """Return the names of the recipes that come with the package, sorted."""
    folder = resources.files("pipelines") / "recipes"
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def recipe_name(name_or_path: str) -> str:
    """Return the bare name of a recipe given by name or by path."""
    return Path(name_or_path).name.removesuffix(".yaml").removesuffix(".yml")


def read_recipe(name_or_path: str, settings: Sequence[str] = ()) -> Raw:
    """Read a recipe and apply settings to it.

    Args:
        name_or_path: name of a packaged recipe, or path to a YAML file.
        settings: ``a.b=value`` each, the value in YAML; setting a ``kind`` drops the
            fields of the old one.

    Returns:
        Its mapping, with ``${VARIABLE}`` replaced from the environment.

    Raises:
        ValueError: there is no such recipe, it is no mapping, a setting does not fit,
            or a variable is not set.
    """
    raw = parse_yaml(_recipe_text(name_or_path), name_or_path)
    for setting in settings:
        apply_setting(raw, setting)
    return _expand(raw, name_or_path)


def parse_yaml(text: str, source: str) -> Raw:
    """Return the mapping that a YAML text holds.

    Args:
        text: of the recipe.
        source: what to call it in an error.

    Raises:
        ValueError: the text is no YAML, or no mapping.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(
            f"Recipe needs YAML; {source} has {' '.join(str(error).split())}. "
            f"Mend the line it names."
        ) from error
    if not isinstance(raw, dict):
        raise ValueError(
            f"Recipe needs a mapping of fields; {source} has "
            f"{type(raw).__name__} {str(raw)[:40]!r}. Start from a packaged recipe."
        )
    return raw


def _recipe_text(name_or_path: str) -> str:
    path = Path(name_or_path).expanduser()
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise ValueError(
                f"Recipe needs a file that exists; {name_or_path} has none. "
                f"Check the path, or name a packaged recipe."
            )
        return _text(path)
    known = packaged_recipes()
    if name_or_path not in known:
        near = difflib.get_close_matches(name_or_path, known, n=3, cutoff=0.3) or known
        raise ValueError(
            f"diffsmooth needs a recipe; there is none named {name_or_path!r}. "
            f"Nearest: {', '.join(near)}. Or give a path to a .yaml file."
        )
    folder = resources.files("pipelines") / "recipes"
    return (folder / f"{name_or_path}.yaml").read_text(encoding="utf-8")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Recipe needs YAML in UTF-8; {path} has {error}. Check the path."
        ) from error


def apply_setting(raw: Raw, setting: str) -> None:
    """Change one field of a recipe in place.

    Args:
        raw: the recipe's mapping.
        setting: ``a.b=value``.

    Raises:
        ValueError: the text has no ``=``, or leads through a field that is no mapping.
    """
    path, separator, text = setting.partition("=")
    if not separator or not path.strip():
        raise ValueError(
            f"--set needs field=value; it has {setting!r}. "
            f"Write for example --set sampling.num_estimate=1000."
        )
    *parents, last = path.strip().split(".")
    if "per_sigma" in parents:
        raise ValueError(
            f"--set needs per_sigma as a whole; it has {setting!r}. Write "
            f"--set {path[: path.index('.per_sigma')]}='{{per_sigma: {{0.25: ...}}}}'."
        )
    target = raw
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise ValueError(
                f"--set needs a field that has fields; in {path!r} the field "
                f"{parent!r} has {target!r}. Set {parent!r} itself."
            )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(
            f"--set needs a YAML value; {path!r} has {text!r}. "
            f"Quote it, or write a list as [a, b]."
        ) from error
    if last == "kind" and value != target.get("kind"):
        target.clear()
    target[last] = value


def _expand(value: Any, source: str) -> Any:
    if isinstance(value, dict):
        return {key: _expand(entry, source) for key, entry in value.items()}
    if isinstance(value, list):
        return [_expand(entry, source) for entry in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match.group(1), source), value)
    return value


def _variable(name: str, source: str) -> str:
    if name not in os.environ:
        raise ValueError(
            f"Recipe {source} needs the environment variable {name}; it has no value. "
            f"Set {name}, or set the field to a path with --set."
        )
    return os.environ[name]


def for_sigma(value: Any, sigma: float, where: str = "") -> Any:
    """Return a recipe's value with every ``{per_sigma: ...}`` decided for one sigma.

    Args:
        value: a recipe's mapping or any part of it.
        sigma: std of the certified noise, in [0, 1] pixels.
        where: dotted path of ``value``, for errors.

    Raises:
        ValueError: a ``per_sigma`` has no entry for this sigma.
    """
    if isinstance(value, list):
        return [for_sigma(entry, sigma, where) for entry in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"per_sigma"}:
        return {
            key: for_sigma(entry, sigma, f"{where}.{key}" if where else str(key))
            for key, entry in value.items()
        }
    choices = value["per_sigma"]
    found = _choices(choices, where).get(sigma)
    if found is None:
        raise ValueError(
            f"{where}.per_sigma needs an entry for every sigma of the run; for sigma "
            f"{sigma} it has none, only {list(choices)}. Add one, or drop the sigma."
        )
    return for_sigma(found[0], sigma, where)


def _choices(choices: Any, where: str) -> Mapping[float, tuple[Any]]:
    try:
        return {float(key): (entry,) for key, entry in choices.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}.per_sigma needs a mapping from sigma to value; it has "
            f"{choices!r}. Write {{0.25: ..., 0.5: ...}}."
        ) from error
