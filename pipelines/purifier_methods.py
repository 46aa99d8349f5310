"""Recipes whose purifiers are compared: on which images, and at which sigmas."""

import logging
from collections.abc import Sequence

import numpy as np

from infra.sources.entry import Entry
from infra.subsets import select
from pipelines.data import Data
from pipelines.prepare import require_known_labels
from pipelines.recipe import Recipe, Run
from pipelines.sample import Sample, decoded_sample

VERB = "inspect-purifier"
"""Who asks, for errors."""

Methods = dict[str, Run]
"""Runs at one sigma by the names of their recipes, the first recipe's first."""

logger = logging.getLogger(__name__)


def shared_sigmas(recipes: Sequence[Recipe]) -> list[float]:
    """Return the sigmas that all recipes have, in the order of the first.

    Args:
        recipes: at least one.

    Raises:
        ValueError: two have one name, or there is no such sigma.
    """
    names = [recipe.name for recipe in recipes]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"{VERB} needs recipes of different names; {name!r} comes "
                f"{names.count(name)} times. Copy one to a file of another name."
            )
    sets = [{run.sigma for run in recipe.runs} for recipe in recipes]
    shared = set.intersection(*sets)
    if not shared:
        told = "; ".join(
            f"{name} has {', '.join(f'{sigma:g}' for sigma in sorted(own))}"
            for name, own in zip(names, sets, strict=True)
        )
        raise ValueError(
            f"{VERB} needs a sigma that all recipes share; {told}. "
            f"Set sigma of the first to one that the others have."
        )
    return [run.sigma for run in recipes[0].runs if run.sigma in shared]


def methods_at(recipes: Sequence[Recipe], sigma: float) -> Methods:
    """Return the runs of a sigma, which all make the same noisy copies.

    Args:
        recipes: with weights resolved, all of which have the sigma.
        sigma: std of the certified noise in [0, 1] pixels.

    Returns:
        Runs by name; those of further recipes with the first one's seed and noise.
    """
    runs = {
        recipe.name: next(run for run in recipe.runs if run.sigma == sigma)
        for recipe in recipes
    }
    first = runs[recipes[0].name]
    same = {"seed": first.seed, "noise": first.noise}
    return {name: run.model_copy(update=same) for name, run in runs.items()}


def shared_sample(recipes: Sequence[Recipe], num_images: int) -> Sample:
    """Return images of the first recipe, evenly spread, that all recipes take.

    Args:
        recipes: at least one.
        num_images: how many, or all if there are fewer.

    Raises:
        ValueError: the number is below 1, recipes have other data sets or images of
            another shape, or images differ in shape.
    """
    if num_images < 1:
        raise ValueError(
            f"{VERB} needs at least 1 image; --images has {num_images}. Take 50."
        )
    first = recipes[0].runs[0].data
    entries = select(first.source.entries(), first.subset)
    for recipe in recipes:
        require_known_labels(recipe, entries)
    spread = np.linspace(0, len(entries) - 1, min(num_images, len(entries))).round()
    chosen = [entries[row] for row in spread.astype(int).tolist()]
    sample, unreadable = decoded_sample(first, chosen, asked_by=VERB)
    if unreadable:
        logger.warning("%d images cannot be decoded and are left out.", len(unreadable))
    _require_one_shape(sample)
    for recipe in recipes:
        for run in recipe.runs:
            _require_fitting(recipe.name, run.data, first, sample)
    return sample


def _require_one_shape(sample: Sample) -> None:
    shape = sample.images[0].shape
    for key, image in zip(sample.keys, sample.images, strict=True):
        if image.shape != shape:
            raise ValueError(
                f"{VERB} needs images of one shape; {sample.keys[0]!r} has {shape} of "
                f"channel x height x width and {key!r} {image.shape}. Set "
                f"data.preprocess to a resize and crop."
            )


def _require_fitting(name: str, data: Data, first: Data, sample: Sample) -> None:
    """Refuse a recipe that is made for other images than those of the first."""
    if (data.source, data.preprocess) == (first.source, first.preprocess):
        return
    if data.source.name != first.source.name:
        raise ValueError(
            f"{VERB} needs recipes of one data set; the first has "
            f"{first.source.name} and {name} {data.source.name}. Inspect each data set "
            f"by itself."
        )
    shape, own = sample.images[0].shape, _shape_of(data)
    if own != shape:
        raise ValueError(
            f"{VERB} needs recipes of images of one shape; the first has {shape} of "
            f"channel x height x width and {name} {own}. Give both the same "
            f"data.preprocess."
        )


def _shape_of(data: Data) -> tuple[int, ...]:
    entries: Sequence[Entry] = select(data.source.entries(), data.subset)
    sample, _ = decoded_sample(data, entries[:1], asked_by=VERB)
    return sample.images[0].shape
