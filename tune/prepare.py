"""All that is checked, fetched and measured before the first trial starts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from infra import cluster
from infra.object_store import Store, open_store
from infra.sources.entry import Entry
from infra.subsets import select
from infra.tracking_address import resolve_uri
from pipelines.beside import Beside
from pipelines.casting import stages_of
from pipelines.data import Data
from pipelines.decode import entry_digests
from pipelines.imported import refuse_imported
from pipelines.prepare import Job, images_table, require_known_labels, try_first_image
from pipelines.recipe import Recipe, Run, validated
from pipelines.recipe_file import read_recipe, recipe_name
from pipelines.weights import require_files, resolve, training_recipes
from tune.chosen import PLACEHOLDER, Choice, Chosen, model_key
from tune.cost import Cost
from tune.held_out import require_apart
from tune.kept import costs_of, identity_of, keep, study_folder
from tune.space import grid
from tune.study import load_study

TRIAL_CPUS = 0.01
"""Cores that a trial asks for: it waits for others nearly all the time."""


@dataclass(frozen=True)
class StudyJob:
    """A study that may start: its images are listed, its weights are there."""

    chosen: Chosen
    job: Job
    """Of the recipe's images, with the runs of all models."""

    store: Store
    """Of the study's trials, inside OUT."""

    models: Mapping[str, tuple[Run, Cost]]
    """Runs with weights resolved and what their networks cost, by model."""

    held_out: Data
    """What a winner is confirmed on."""

    identity: Mapping[str, Any]
    """What trials of one study have in common."""


def prepare_study(name: str, settings: Sequence[str], out: str | None) -> StudyJob:
    """Validate, list, train what is missing, connect, and try one image.

    Args:
        name: packaged recipe or YAML file, with ``study``.
        settings: ``field=value`` each.
        out: where to write; ``None``: ``runs/NAME``.

    Returns:
        The study, with this process connected to its cluster.

    Raises:
        ValueError: anything that can be known now does not hold.
        OSError: a file is not there, or OUT cannot be written.
    """
    chosen, whole = _read(name, settings)
    models = _models(chosen)
    first = next(iter(models.values()))
    store = _opened(out or f"runs/{chosen.name}", first)
    entries = select(first.data.source.entries(), first.data.subset)
    digests = entry_digests(first.data.source, entries)
    recipe = Recipe(name=chosen.name, runs=tuple(models.values()), raw=chosen.raw)
    require_known_labels(recipe, entries)
    held_out = _held_out(chosen, first, entries, digests)
    identity = identity_of(chosen, entries)
    own = open_store(study_folder(store.url, identity))
    recipe, shape = _connected(recipe, entries)
    resolved = dict(zip(models, recipe.runs, strict=True))
    costs = costs_of(chosen, own, resolved, entries)
    beside = Beside(chosen.study.concurrent, chosen.study.concurrent * TRIAL_CPUS)
    job = Job(recipe, store.url, store, entries, digests, {}, {}, shape, beside)
    for run in recipe.runs:
        stages_of(job, run)  # refuses what would wait for ever
    store.write("recipe.yaml", whole.encode())
    store.write("images.parquet", images_table(job))
    keep(own, identity, costs)
    priced = {key: (run, costs[key]) for key, run in resolved.items()}
    return StudyJob(chosen, job, own, priced, held_out, identity)


def _opened(out: str, run: Run) -> Store:
    """Return OUT, into which the study can be written."""
    store = open_store(out)
    store.require_writable()
    refuse_imported(store)
    _refuse_a_run(store)
    store.sweep()
    resolve_uri(run.tracking.uri, None)  # refuses what MLflow could not write to
    return store


def _refuse_a_run(store: Store) -> None:
    """Refuse to study where a run has its votes, which would lose its recipe."""
    if store.names("votes/") or store.exists("manifest.json"):
        raise ValueError(
            f"A study needs an OUT of its own; {store.url} has a run of diffsmooth "
            f"certify or predict. Take another --out."
        )


def _connected(
    recipe: Recipe, entries: Sequence[Entry]
) -> tuple[Recipe, tuple[int, ...]]:
    """Return the recipe with weights resolved, and the shape of its images."""
    address = recipe.runs[0].ray.address
    if training_recipes(recipe):
        require_files(recipe)
        cluster.start(address)
    recipe = resolve(recipe)
    shape = try_first_image(recipe.runs, entries)
    cluster.start(address)
    return recipe, shape


def _read(name: str, settings: Sequence[str]) -> tuple[Chosen, str]:
    raw = read_recipe(name, settings)
    whole = yaml.safe_dump(raw, sort_keys=False)
    study, rest = load_study(raw, recipe_name(name))
    data = rest.get("data")
    if isinstance(data, dict) and data.get("source") == "digits":
        rest["data"] = {"split": "tune", **data}
    return Chosen(rest, recipe_name(name), study), whole


def _models(chosen: Chosen) -> dict[str, Run]:
    """Return a run for each purifier, classifier and sigma there is, by model."""
    found: dict[str, Run] = {}
    for choice in _model_choices(chosen):
        run = chosen.run(choice, PLACEHOLDER)
        found.setdefault(model_key(run), run)
    if {run.plan for run in found.values()} != {"fused"}:
        raise ValueError(
            f"A study needs plan fused, which keeps purified copies on the device; "
            f"recipe {chosen.name} has staged. Set plan to fused."
        )
    return found


def _model_choices(chosen: Chosen) -> Iterator[Choice]:
    of_model = ("sigma", "purifier", "classifier")
    dimensions = chosen.dimensions
    varied = [d for d in dimensions if d.field.split(".")[0] in of_model]
    (sigma,) = (one for one in dimensions if one.field == "sigma")
    for variant in chosen.study.variants or {"": {}}:
        for point in grid(varied):
            yield Choice(variant, None, point)
        for name in chosen.study.baselines:
            for point in grid([sigma]):
                yield Choice(variant, name, point)


def _held_out(
    chosen: Chosen, run: Run, entries: Sequence[Entry], digests: Mapping[str, str]
) -> Data:
    written = chosen.study.held_out
    where = f"{chosen.name}, study.held_out"
    data = validated(Data, {**run.data.model_dump(), **written}, where)
    others = select(data.source.entries(), data.subset)
    recipe = Recipe(name=where, runs=(run,), raw={})
    require_known_labels(recipe, others)
    same = data.source == run.data.source
    require_apart(entries, digests, others, data, same_source=same)
    return data


def prefix(job: Job, num_images: int) -> Job:
    """Return a job of the first of its images.

    Args:
        job: of all.
        num_images: how many.
    """
    return replace(job, entries=job.entries[:num_images])
