"""What names a training: equal names, equal weights."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from infra.weights.hub import cached
from ops.weights import WeightsRef
from pipelines.references import references_in
from pipelines.train_recipe import TrainRecipe, load_train_recipe
from pipelines.weight_files import Named, found

_IDLE = {
    "workers": {"gpus", "max_failures"},
    "checkpoints": True,
    "loading": True,
    "probe": True,
    "tracking": True,
}
"""What changes no weights. Workers and cores do: they change the order of sums."""


def recipe_hash(recipe: TrainRecipe) -> str:
    """Return the name of what a recipe trains.

    Weights that it reads count by their content: those another recipe trains by that
    recipe's own hash, those of a file by its sha256.

    Args:
        recipe: validated recipe, with weights as written.

    Returns:
        32 hexadecimal digits.

    Raises:
        ValueError: recipes need each other's weights in a circle.
        FileNotFoundError: a file of weights is not there.
    """
    return _hash(recipe, ())


def _hash(recipe: TrainRecipe, above: tuple[Named, ...]) -> str:
    content = recipe.model_dump(mode="json", exclude=_IDLE)
    for data in (content["data"], (content["extra"] or {}).get("data", {})):
        if "path" in data and "://" not in data["path"]:
            data["path"] = str(Path(data["path"]).expanduser().absolute())
    references = references_in(recipe)
    for path in references:
        _put(content, path, _content_of(references[path], above))
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _content_of(reference: WeightsRef, above: tuple[Named, ...]) -> Mapping[str, Any]:
    if reference.recipe is not None:
        named = (reference.recipe, reference.settings)
        if named in above:
            circle = " needs ".join(name for name, _ in (*above, named))
            raise ValueError(
                f"A training needs weights that are trained before it; {circle}. Break "
                f"the circle."
            )
        inner = load_train_recipe(named[0], named[1])
        return {"trained": _hash(inner, (*above, named))}
    if reference.untrained is not None:
        return {"untrained": reference.untrained}
    text = reference.model_dump_json()
    place = reference.path or cached(str(reference.hub), reference.revision)
    return {"sha256": _sha256_of(text, _changed(Path(place).expanduser()))}


def _changed(path: Path) -> Sequence[tuple[str, int]]:
    files = [path] if not path.is_dir() else sorted(path.rglob("*"))
    return tuple((str(f), f.stat().st_mtime_ns) for f in files if f.exists())


@lru_cache(maxsize=64)
def _sha256_of(text: str, _changed: Sequence[tuple[str, int]]) -> str:
    return str(found(WeightsRef.model_validate_json(text), {}).sha256)


def _put(content: Any, path: str, value: Mapping[str, Any]) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        content = content[int(parent) if isinstance(content, list) else parent]
    content[last] = value
