"""Train networks with Ray Train, once, into the cache."""

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import ray

from infra import cluster
from infra.file_lock import file_lock
from ops.weights import WeightsRef
from pipelines.preflight import refuse_waiting_workers
from pipelines.recipe_file import recipe_name
from pipelines.references import named_recipes, references_in, with_references
from pipelines.train_checkpoints import checkpoint_store
from pipelines.train_checks import refuse_images, try_out, try_probe
from pipelines.train_fit import fit
from pipelines.train_hash import recipe_hash
from pipelines.train_images import images_digest, list_images
from pipelines.train_loop import Task
from pipelines.train_publish import folder_of, weights_of
from pipelines.train_read import Refused, read_all
from pipelines.train_recipe import TrainRecipe, load_train_recipe
from pipelines.train_teacher import labelled
from pipelines.train_track import tracked_trainings
from pipelines.weight_files import Named, found

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A training that is asked for."""

    title: str
    """What to call it."""

    recipe: TrainRecipe
    """As written."""

    name: str
    """The recipe's hash."""

    def is_done(self, cache: Path) -> bool:
        """Return whether its weights are in the cache."""
        return folder_of(self.name, cache).exists()


def cache_folder() -> Path:
    """Return where trained weights are kept, on a disk that all nodes see.

    It is ``$DIFFSMOOTH_CACHE``, or ``diffsmooth`` in the user's cache folder.
    """
    chosen = os.environ.get("DIFFSMOOTH_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches).absolute() / "diffsmooth"


def ensure_trained(name: str, settings: Sequence[str] = ()) -> Path:
    """Return the weights of a training recipe, trained now if they never were.

    Args:
        name: packaged training recipe or path to one.
        settings: ``field=value`` each.

    Returns:
        What to load: a folder of diffusers, or a safetensors file.

    Raises:
        ValueError: the recipe does not hold, or its training diverged.
    """
    return ensure_all_trained([(name, tuple(settings))])[0]


def ensure_all_trained(named: Sequence[Named]) -> list[Path]:
    """Return the weights of several recipes; those that miss are trained in one go.

    Starting Ray Train costs seconds, so recipes with the same workers share one start.
    Weights that a training reads are trained before it.

    Args:
        named: packaged training recipes or paths, with ``field=value`` settings.

    Returns:
        What to load, in the order of the names.

    Raises:
        ValueError: a recipe does not hold, or a training diverged.
    """
    jobs = [_job(one) for one in named]
    _train_missing(jobs, cache_folder())
    return [_weights(job, cache_folder()) for job in jobs]


def train(recipe: TrainRecipe, cache: Path) -> Path:
    """Train one recipe, from its last checkpoint if it was interrupted.

    Args:
        recipe: what to train.
        cache: folder of all trained weights, on a disk that all nodes see.

    Returns:
        What to load: a folder of diffusers, or a safetensors file.

    Raises:
        ValueError: the training diverged, or the cluster has no room for its workers.
        ray.train.TrainingFailedError: workers were lost too often.
    """
    name = recipe_hash(recipe)
    job = Job(f"recipe {name[:8]}", recipe, name)
    _train_missing([job], cache)
    return _weights(job, cache)


def _job(named: Named) -> Job:
    name, settings = named
    recipe = load_train_recipe(name, settings)
    title = " ".join([recipe_name(name), *settings])
    return Job(title, recipe, recipe_hash(recipe))


def _weights(job: Job, cache: Path) -> Path:
    return weights_of(job.recipe, folder_of(job.name, cache))


def _train_missing(jobs: Sequence[Job], cache: Path) -> None:
    """Train what the cache has not, what others read first."""
    missing = _missing(jobs, cache)
    if not missing:
        return
    before = [_job(one) for job in missing for one in named_recipes(job.recipe)]
    with _connected():
        _train_missing(before, cache)
        _train_locked(missing, cache)


def _train_locked(jobs: Sequence[Job], cache: Path) -> None:
    with contextlib.ExitStack() as held:
        # In one order for everybody, so that nobody waits in a circle.
        for name in sorted({job.name for job in jobs}):
            held.enter_context(file_lock(cache / "locks" / name))
        if not _missing(jobs, cache):
            return
        capacity = cluster.capacity()
        for job in jobs:
            refuse_waiting_workers(job.recipe.workers, capacity)
        for _, group in groupby(sorted(jobs, key=_shared), key=_shared):
            together = list(group)
            if _missing(together, cache):
                _train_together(together, cache)


def _missing(jobs: Sequence[Job], cache: Path) -> list[Job]:
    return list({j.name: j for j in jobs if not j.is_done(cache)}.values())


def _shared(job: Job) -> str:
    """Return what trainings have in common that share one start of their workers."""
    recipe = job.recipe
    places = f"{recipe.checkpoints.uri} {recipe.tracking.uri}"
    return f"{recipe.workers.model_dump_json()} {places}"


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """Stay on the cluster one is on, or start a local one and end it afterwards."""
    started = cluster.start(None)
    try:
        yield
    finally:
        if started:
            cluster.stop()


def _train_together(jobs: Sequence[Job], cache: Path) -> None:
    """Train jobs one after the other in the same workers, which skip trained ones."""
    missing = _missing(jobs, cache)
    num_steps = sum(job.recipe.optimiser.steps for job in missing)
    names = ", ".join(job.title for job in missing)
    tasks = [_task(job, cache) for job in missing]
    logger.info("Training %s: %d steps in all.", names, num_steps)
    started = time.monotonic()
    asked = {job.name: (job.title, job.recipe) for job in missing}
    written = [job.recipe for job in missing]
    with tracked_trainings(asked, cache) as callback:
        outcome = fit(tasks, written, cache, callback=callback)
        callback.tell_rates(outcome.images_per_second)
    if outcome.refusal is not None:
        raise ValueError(outcome.refusal)
    seconds, done = time.monotonic() - started, outcome.done_before
    rates = [f"{rate:,.0f}" for rate in outcome.images_per_second.values()]
    before = f"; {done} of {num_steps} steps were done before" if done else ""
    logger.info(
        "Trained %s in %.0f s (%s images/s)%s.",
        names,
        seconds,
        ", ".join(rates),
        before,
    )


def _task(job: Job, cache: Path) -> Task:
    """Find a training's weights and images, refused here if it could not use them."""
    recipe = _with_weights(job.recipe, cache)
    checkpoint_store(recipe, cache).require_writable()
    listed = list_images(recipe)
    probe = None
    try:
        try_out(recipe, listed)
        listed = labelled(recipe, listed, cache)
        refuse_images(recipe, listed)
        if recipe.probe is not None:
            images = read_all(recipe.probe.data)
            try_probe(recipe, images[0], listed)
            probe = ray.put(images)
    except Refused as error:
        raise ValueError(f"{job.title}: {error}") from error
    return Task(job.name, recipe, ray.put(listed), probe, cache, images_digest(listed))


def _with_weights(recipe: TrainRecipe, cache: Path) -> TrainRecipe:
    def place(reference: WeightsRef) -> WeightsRef:
        trained: Mapping[Named, Path] = {}
        if reference.recipe is not None:
            named = (reference.recipe, reference.settings)
            trained = {named: _weights(_job(named), cache)}
        return found(reference, trained)

    references = references_in(recipe)
    return with_references(recipe, {at: place(ref) for at, ref in references.items()})
