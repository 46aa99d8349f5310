"""What the papers' theorems say of a recipe's purifier: ``diffsmooth theory``."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infra import cluster
from infra.object_store import Store, open_store
from infra.subsets import select
from ops.theory.diffusion_network import is_diffusion_model, without_diffusion_model
from pipelines.certified_scores import certified_scores
from pipelines.in_worker import in_worker
from pipelines.recipe import Recipe, Run, load_recipe
from pipelines.render_theory import theory_csv, theory_markdown, theory_picture
from pipelines.sample import Sample, decoded_sample
from pipelines.theory_measure import Measured, measure
from pipelines.theory_row import TheoryRow, theory_row
from pipelines.weights import resolve, training_recipes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What is looked at, of every recipe alike."""

    num_images: int = 20
    """Spread over the data set."""

    num_copies: int = 5
    """Noisy copies of each."""

    failure_probability: float = 0.01
    """Chance that the reverse process adds longer noise than the bound allows (eta)."""

    def __post_init__(self) -> None:
        """Refuse what nothing can be told from."""
        if self.num_images < 2 or self.num_copies < 1:
            raise ValueError(
                f"theory needs at least 2 images and 1 copy of each; --images has "
                f"{self.num_images} and --copies {self.num_copies}. Take 20 and 5."
            )
        if not 0.0 < self.failure_probability < 1.0:
            raise ValueError(
                f"theory needs a chance in (0, 1) that its bound fails; --eta has "
                f"{self.failure_probability}. Take 0.01."
            )


@dataclass(frozen=True)
class Theory:
    """A row per recipe and sigma, and what a reader must know of them."""

    rows: Sequence[TheoryRow]

    remarks: Sequence[str]
    """Sentences: what features were taken, and which theorems do not apply and why."""

    store: Store
    """Where the files lie."""


def theory(
    names: Sequence[str],
    settings: Sequence[str],
    out: str | None,
    *,
    asked: Asked,
    runs: Sequence[str] = (),
) -> Theory:
    """Measure how far purified copies lie from clean images, beside their bounds.

    Casts no vote. Writes theory.csv, theory.md and theory.png into OUT.

    Args:
        names: packaged recipes or YAML files; the first says which images are looked
            at, and its classifier at its first sigma in whose features.
        settings: ``field=value`` each, for the first recipe.
        out: where to write; ``None``: ``runs/NAME`` of the first recipe.
        asked: images, copies and the bound's chance to fail.
        runs: OUT of each recipe in turn, for its certificates; none: ``runs/NAME`` of
            each, where it has any.

    Raises:
        ValueError: a recipe does not hold, or recipes are of different data sets.
        FileNotFoundError: one of ``runs`` has no certificates.
    """
    recipes = _loaded(names, settings)
    store = open_store(out or f"runs/{recipes[0].name}")
    scores = [
        certified_scores(one.name, _out_of(runs, place, len(recipes)))
        for place, one in enumerate(recipes)
    ]
    sample = _sample(recipes[0].runs[0], asked.num_images)
    if any(training_recipes(one) for one in recipes):
        cluster.start(recipes[0].runs[0].ray.address)
    recipes = [resolve(one) for one in recipes]
    cluster.start(recipes[0].runs[0].ray.address)
    found = _measured(recipes, sample, asked.num_copies)
    rows = [
        theory_row(
            name,
            run,
            measured,
            failure_probability=asked.failure_probability,
            certified=scores[place].get(run.sigma),
        )
        for place, name, run, measured in found
    ]
    return _written(Theory(rows, _remarks(recipes, found), store))


def _written(found: Theory) -> Theory:
    rows, store = found.rows, found.store
    store.write("theory.csv", theory_csv(rows).encode())
    store.write("theory.md", theory_markdown(rows, found.remarks).encode())
    store.write("theory.png", theory_picture(rows))
    return found


Found = Sequence[tuple[int, str, Run, Measured]]
"""Place of a recipe, its name, its run at a sigma, and what was measured."""


def _loaded(names: Sequence[str], settings: Sequence[str]) -> list[Recipe]:
    first = load_recipe(names[0], list(settings))
    recipes = [first, *(load_recipe(name, []) for name in names[1:])]
    told = [recipe.name for recipe in recipes]
    if len(set(told)) < len(told):
        raise ValueError(
            f"theory needs each recipe once, told apart by its name; it has "
            f"{', '.join(told)}. Leave one out, or copy it under another name."
        )
    data = first.runs[0].data
    for recipe in recipes[1:]:
        other = recipe.runs[0].data.model_copy(update={"subset": data.subset})
        if other != data:
            raise ValueError(
                f"theory needs recipes of one data set beside each other; the data of "
                f"{recipe.name} differs from that of {first.name}. Compare recipes of "
                f"the same data."
            )
    return recipes


def _out_of(runs: Sequence[str], place: int, num_recipes: int) -> str | None:
    if runs and len(runs) != num_recipes:
        raise ValueError(
            f"theory needs the OUT of each recipe in turn, or none; --runs has "
            f"{len(runs)} for {num_recipes} recipes. Give as many."
        )
    return runs[place] if runs else None


def _sample(run: Run, num_images: int) -> Sample:
    entries = select(run.data.source.entries(), run.data.subset)
    spread = np.linspace(0, len(entries) - 1, min(num_images, len(entries))).round()
    chosen = [entries[row] for row in spread.astype(int).tolist()]
    sample, unreadable = decoded_sample(run.data, chosen, asked_by="theory")
    if unreadable:
        logger.warning("%d images cannot be decoded.", len(unreadable))
    if len(sample.keys) < 2:
        raise ValueError(
            f"theory needs at least 2 images; data.subset has {len(sample.keys)} that "
            f"can be decoded. Take a larger subset."
        )
    shapes = sorted({image.shape for image in sample.images})
    if len(shapes) > 1:
        raise ValueError(
            f"theory needs images of one shape; it has {shapes[0]} and {shapes[1]}. "
            f"Set data.preprocess."
        )
    return sample


def _measured(recipes: Sequence[Recipe], sample: Sample, num_copies: int) -> Found:
    features = recipes[0].runs[0].classifier
    found = []
    for place, recipe in enumerate(recipes):
        for run in recipe.runs:
            logger.info("%s at sigma %g.", recipe.name, run.sigma)
            measured = in_worker(
                measure, run, sample, num_copies, features, asked_by="theory"
            )
            found.append((place, recipe.name, run, measured))
    return found


def _remarks(recipes: Sequence[Recipe], found: Found) -> list[str]:
    first = recipes[0].runs[0]
    remarks = [
        f"Features: {first.classifier.kind} of {recipes[0].name} at sigma "
        f"{first.sigma:g}, the input of its last linear layer."
    ]
    for recipe in recipes:
        for run in recipe.runs:
            if not is_diffusion_model(run.purifier):
                remark = without_diffusion_model(run.purifier.kind)
                remarks.append(f"{recipe.name}: {remark}")
    remarks += [
        f"Theorem 3.3: {one.without_features}"
        for *_, one in found
        if one.without_features
    ]
    return list(dict.fromkeys(remarks))
