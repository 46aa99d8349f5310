"""Train networks with Ray Train, once, into the cache."""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train.torch import TorchTrainer

from infra import cluster
from infra.file_lock import file_lock
from pipelines.preflight import refuse_waiting_workers
from pipelines.recipe_file import recipe_name
from pipelines.train_data import read_images
from pipelines.train_publish import folder_of, weights_of
from pipelines.train_recipe import (
    TrainRecipe,
    TrainWorkers,
    load_train_recipe,
    recipe_hash,
)
from pipelines.train_worker import Outcome, train_and_publish

Job = tuple[str, TrainRecipe]
"""What to call a training, and the training."""

POLL_SECONDS = "0.5"
"""How often Ray Train looks at its workers: its own 2 s delay every end of training."""

logger = logging.getLogger(__name__)


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
    recipe = load_train_recipe(name, settings)
    _train_missing([(recipe_name(name), recipe)], cache_folder())
    return weights_of(recipe, cache_folder())


def ensure_all_trained(names: Sequence[str]) -> list[Path]:
    """Return the weights of several recipes; those that miss are trained in one go.

    Starting Ray Train costs seconds, so recipes with the same workers share one start.

    Args:
        names: packaged training recipes or paths.

    Returns:
        What to load, in the order of the names.

    Raises:
        ValueError: a recipe does not hold, or a training diverged.
    """
    jobs = [(recipe_name(name), load_train_recipe(name)) for name in names]
    _train_missing(jobs, cache_folder())
    return [weights_of(recipe, cache_folder()) for _, recipe in jobs]


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
    _train_missing([(f"recipe {recipe_hash(recipe)[:8]}", recipe)], cache)
    return weights_of(recipe, cache)


def _train_missing(jobs: Sequence[Job], cache: Path) -> None:
    if not _missing(jobs, cache):
        return
    with contextlib.ExitStack() as held:
        # In one order for everybody, so that nobody waits in a circle.
        for name in sorted({recipe_hash(recipe) for _, recipe in jobs}):
            held.enter_context(file_lock(cache / "locks" / name))
        if _missing(jobs, cache):
            held.enter_context(_connected())
            _refuse_waiting(_missing(jobs, cache))
        for _, group in groupby(sorted(jobs, key=_workers), key=_workers):
            together = list(group)
            if _missing(together, cache):
                _train_together(together, cache)


def _refuse_waiting(jobs: Sequence[Job]) -> None:
    capacity = cluster.capacity()
    for _, recipe in jobs:
        refuse_waiting_workers(recipe.workers, capacity)


def _missing(jobs: Sequence[Job], cache: Path) -> list[Job]:
    return [job for job in jobs if not folder_of(job[1], cache).exists()]


def _workers(job: Job) -> str:
    return job[1].workers.model_dump_json()


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
    missing = dict(_missing(jobs, cache))
    names = ", ".join(missing)
    num_steps = sum(recipe.optimiser.steps for recipe in missing.values())
    logger.info("Training %s: %d steps in all, on first use.", names, num_steps)
    started = time.monotonic()
    outcome = _fit([recipe for _, recipe in jobs], cache)
    if outcome.refusal is not None:
        raise ValueError(outcome.refusal)
    seconds, done = time.monotonic() - started, outcome.done_before
    before = f"; {done} of {num_steps} steps were done before" if done else ""
    logger.info("Trained %s in %.0f s%s.", names, seconds, before)


def _fit(recipes: Sequence[TrainRecipe], cache: Path) -> Outcome:
    # The same recipes, trained already or not, meet their last checkpoint again.
    asked = "".join(recipe_hash(recipe) for recipe in recipes)
    name = hashlib.blake2b(asked.encode(), digest_size=16).hexdigest()
    unfinished = cache / "unfinished"
    _discard_torn(unfinished / name)
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", POLL_SECONDS)
    trainer = TorchTrainer(
        train_and_publish,
        train_loop_config=_loop_config(recipes, cache),
        scaling_config=_scaling(recipes[0].workers),
        run_config=ray.train.RunConfig(
            name=name,
            storage_path=str(unfinished),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            failure_config=ray.train.FailureConfig(recipes[0].workers.max_failures),
            logging_config=ray.train.LoggingConfig("WARNING"),
        ),
    )
    outcome: Any
    with _interrupts_kept():
        outcome = trainer.fit().return_value
    shutil.rmtree(unfinished / name, ignore_errors=True)
    return outcome


def _discard_torn(run: Path) -> None:
    """Begin anew where a kill tore Ray Train's own notes, which it would refuse."""
    notes = run / "checkpoint_manager_snapshot.json"
    if not notes.exists():
        return
    try:
        json.loads(notes.read_text())
    except json.JSONDecodeError:
        logger.warning("Training begins anew: the kill that ended it tore %s.", notes)
        shutil.rmtree(run)


def _loop_config(recipes: Sequence[TrainRecipe], cache: Path) -> dict[str, Any]:
    data = {recipe.data.model_dump_json(): recipe.data for recipe in recipes}
    images = {key: ray.put(read_images(entry)) for key, entry in data.items()}
    keys = [recipe.data.model_dump_json() for recipe in recipes]
    trainings = [
        (recipe, images[key]) for recipe, key in zip(recipes, keys, strict=True)
    ]
    return {"trainings": trainings, "cache": str(cache)}


def _scaling(workers: TrainWorkers) -> ray.train.ScalingConfig:
    gpus = {"GPU": workers.gpus} if workers.gpus else {}
    return ray.train.ScalingConfig(
        num_workers=workers.num_workers,
        use_gpu=workers.gpus > 0,
        resources_per_worker={"CPU": workers.cpus, **gpus},
    )


@contextlib.contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Put back the handler of Ctrl-C, which Ray Train replaces for good."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
