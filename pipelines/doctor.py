"""What can be found out about a recipe before a long run, on a few images."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from infra import cluster
from infra.object_store import Store, open_store
from infra.sources.entry import Entry
from infra.subsets import select, subset_digest
from infra.tracking_address import resolve_uri
from infra.tracking_client import require_reachable
from pipelines.allotment import allot
from pipelines.check import Check
from pipelines.clean_verdicts import judge_clean
from pipelines.in_worker import fused_stage, in_worker
from pipelines.prepare import require_known_labels
from pipelines.probe import probe
from pipelines.recipe import Recipe, Run, load_recipe
from pipelines.references import references_in
from pipelines.sample import Sample, decoded_sample
from pipelines.verdicts import judge_noise, judge_pixels, judge_speed
from pipelines.weights import resolve, training_recipes

logger = logging.getLogger(__name__)

NUM_IMAGES = 200
"""Images the doctor looks at, at most."""

Found = TypeVar("Found")


def doctor(name: str, settings: Sequence[str], out: str | None) -> list[Check]:
    """Look at everything a long run rests on; writes no vote and no result.

    Args:
        name: packaged recipe or YAML file.
        settings: ``field=value`` each.
        out: where the run would write; ``None``: ``runs/NAME``.

    Returns:
        What was found, in the order in which a run would meet it.

    Raises:
        ValueError: the recipe itself does not hold.
    """
    recipe = load_recipe(name, list(settings))
    store = open_store(out or f"runs/{recipe.name}")
    checks: list[Check] = []
    _look(checks, "storage", lambda: _storage(store))
    _look(checks, "tracking", lambda: _tracking(recipe, store))
    data = _look(checks, "data", lambda: _data(recipe))
    shape = data[1].images[0].shape if data else ()
    connected = _look(checks, "cluster", lambda: _connect(recipe, shape))
    resolved = connected and _look(checks, "weights", lambda: _weights(recipe))
    if data is None or not resolved:
        return checks
    entries, sample = data
    for run in resolved.runs:
        _look(
            checks,
            f"networks at {run.sigma:g}",
            lambda run=run: _networks(run, sample, len(entries), resolved.runs[0]),
        )
    return checks


def _look(
    checks: list[Check], name: str, step: Callable[[], tuple[list[Check], Found]]
) -> Found | None:
    """Take a step and note what it found; a refusal is a failure like any other."""
    logger.info("Looking at %s.", name)
    try:
        found, value = step()
    except (ValueError, OSError) as error:
        checks.append(_refused(name, str(error)))
        return None
    checks.extend(found)
    return value


def _refused(name: str, message: str) -> Check:
    """Return a refusal as a line: what is wrong, and the sentence that mends it."""
    what, _, remedy = message.rpartition(". ")
    return Check(name, "fail", what or message, remedy if what else "")


def _storage(store: Store) -> tuple[list[Check], bool]:
    store.require_writable()
    held = len([name for name in store.names("votes/") if name.endswith(".parquet")])
    has = f"{held} files of votes that a run would continue" if held else "no votes yet"
    return [Check("storage", "pass", f"{store.url} can be written; it has {has}")], True


def _tracking(recipe: Recipe, store: Store) -> tuple[list[Check], bool]:
    folder = None if store.local_path is None else store.local_path.parent
    uri = resolve_uri(recipe.runs[0].tracking.uri, folder)
    require_reachable(uri)
    return [Check("tracking", "pass", uri)], True


def _data(recipe: Recipe) -> tuple[list[Check], tuple[Sequence[Entry], Sample]]:
    data = recipe.runs[0].data
    entries = select(data.source.entries(), data.subset)
    require_known_labels(recipe, entries)
    found = (
        f"{len(entries):,} images of {data.source.name}, subset {data.subset} "
        f"(sha256 {subset_digest(entries)[:12]})"
    )
    spread = list(entries[:: math.ceil(len(entries) / NUM_IMAGES)])
    sample, unreadable = decoded_sample(data, spread, asked_by="doctor")
    checks = [Check("data", "pass", found), _classes(recipe.runs[0], entries)]
    if unreadable:
        listed = ", ".join(unreadable[:3])
        checks.append(
            Check(
                "images",
                "warn",
                f"{len(unreadable)} of {len(spread)} cannot be decoded: {listed}",
                "Fetch them again, or they count as radius 0.",
            )
        )
    return [*checks, judge_pixels(sample)], (entries, sample)


def _classes(run: Run, entries: Sequence[Entry]) -> Check:
    num, there = run.classifier.num_classes, len({entry.label for entry in entries})
    if there == num:
        return Check("classes", "pass", f"all {num}")
    remedy = "As it should be where the subset is small; else look for missing folders."
    return Check("classes", "warn", f"{there} of {num} have images", remedy)


def _connect(recipe: Recipe, image_shape: tuple[int, ...]) -> tuple[list[Check], bool]:
    cluster.start(recipe.runs[0].ray.address)
    capacity = cluster.capacity()
    found = (
        f"{len(capacity.node_cpus)} nodes, {capacity.cpus:g} cores, "
        f"{capacity.gpus:g} GPUs"
    )
    checks = [Check("cluster", "pass", found)]
    for run in recipe.runs:
        allot(run, capacity, image_shape)
    return checks, True


def _weights(recipe: Recipe) -> tuple[list[Check], Recipe]:
    named = training_recipes(recipe)
    if named:
        names = ", ".join(" ".join([name, *settings]) for name, settings in named)
        logger.info("Weights of %s are trained if they are not there.", names)
    resolved = resolve(recipe)
    lines = {}
    for run in resolved.runs:
        for place, reference in references_in(run).items():
            part = place.removesuffix(".weights")
            if reference.untrained is not None:
                lines[f"{part}: untrained"] = None
                continue
            licence = reference.licence or "licence not given"
            digest = (reference.sha256 or "")[:12]
            lines[f"{part}: {reference.path} (sha256 {digest}, {licence})"] = None
    return [Check("weights", "pass", "; ".join(lines) or "none needed")], resolved


def _networks(
    run: Run, sample: Sample, num_images: int, first: Run
) -> tuple[list[Check], bool]:
    measured = in_worker(probe, run, sample, asked_by="doctor")
    actors = fused_stage(run, sample).actors
    checks = [
        *judge_noise(measured, sample, run),
        judge_speed(measured, run, num_images=num_images, actors=actors),
    ]
    # The classifier may differ between sigmas; its clean images are the same.
    if run is first or run.classifier != first.classifier:
        suffix = "" if run is first else f" at {run.sigma:g}"
        clean = judge_clean(measured, sample, run)
        checks = [replace(c, name=c.name + suffix) for c in clean] + checks
    return checks, True
