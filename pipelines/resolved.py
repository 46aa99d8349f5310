"""A recipe with every default written out, for whoever finds only OUT."""

from collections.abc import Mapping

import yaml

from pipelines.recipe import Recipe
from pipelines.recipe_file import Raw


def resolved_yaml(recipe: Recipe) -> str:
    """Return a recipe with every default, as YAML that gives the same runs again."""
    dumps = {run.sigma: run.model_dump(mode="json") for run in recipe.runs}
    merged = _merge(dumps)
    assert isinstance(merged, dict)  # a run is a mapping
    merged["sigma"] = list(dumps)
    return yaml.safe_dump(merged, sort_keys=False)


def _merge(by_sigma: Mapping[float, object]) -> object:
    values = list(by_sigma.values())
    if all(value == values[0] for value in values):
        return values[0]
    mappings = [value for value in values if isinstance(value, dict)]
    alike = len(mappings) == len(values) and all(
        m.keys() == mappings[0].keys() for m in mappings
    )
    if not alike:
        return {"per_sigma": dict(by_sigma)}
    merged: Raw = {}
    for key in mappings[0]:
        merged[key] = _merge(
            {
                sigma: mapping[key]
                for sigma, mapping in zip(by_sigma, mappings, strict=True)
            }
        )
    return merged
