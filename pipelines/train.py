"""Train networks with Ray Train, once, into the cache."""

import contextlib
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
from pipelines.train_data import read_images
from pipelines.train_publish import folder_of, weights_of
from pipelines.train_recipe import (
    TrainRecipe,
    TrainWorkers,
    load_train_recipe,
    recipe_hash,
)
from pipelines.train_worker import train_and_publish

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
    _train_missing([recipe], cache_folder())
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
    recipes = [load_train_recipe(name) for name in names]
    _train_missing(recipes, cache_folder())
    return [weights_of(recipe, cache_folder()) for recipe in recipes]


def train(recipe: TrainRecipe, cache: Path) -> Path:
    """Train one recipe, from its last checkpoint if it was interrupted.

    Args:
        recipe: what to train.
        cache: folder of all trained weights, on a disk that all nodes see.

    Returns:
        What to load: a folder of diffusers, or a safetensors file.

    Raises:
        ValueError: the training diverged.
        ray.train.TrainingFailedError: workers were lost too often.
    """
    _train_missing([recipe], cache)
    return weights_of(recipe, cache)


def _train_missing(recipes: Sequence[TrainRecipe], cache: Path) -> None:
    by_hash = {recipe_hash(recipe): recipe for recipe in recipes}
    if not _missing(by_hash.values(), cache):
        return
    with contextlib.ExitStack() as held:
        # In one order for everybody, so that nobody waits in a circle.
        for name in sorted(by_hash):
            held.enter_context(file_lock(cache / "locks" / name))
        missing = _missing(by_hash.values(), cache)
        if missing:
            held.enter_context(_connected())
        for _, group in groupby(missing, key=lambda recipe: recipe.workers):
            _train_together(list(group), cache)


def _missing(recipes: Any, cache: Path) -> list[TrainRecipe]:
    absent = [recipe for recipe in recipes if not folder_of(recipe, cache).exists()]
    return sorted(absent, key=lambda recipe: recipe.workers.model_dump_json())


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """Stay on the cluster one is on, or start a local one and end it afterwards."""
    started = cluster.start(None)
    try:
        yield
    finally:
        if started:
            cluster.stop()


def _train_together(recipes: list[TrainRecipe], cache: Path) -> None:
    """Train recipes one after the other in the same workers."""
    for recipe in recipes:
        logger.info("Training %s, %d steps.", _title(recipe), recipe.optimiser.steps)
    started = time.monotonic()
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", POLL_SECONDS)
    name = "-".join(recipe_hash(recipe)[:8] for recipe in recipes)
    unfinished = cache / "unfinished"
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
    with _interrupts_kept():
        refusal = trainer.fit().return_value
    if refusal is not None:
        raise ValueError(refusal)
    shutil.rmtree(unfinished / name)
    seconds = time.monotonic() - started
    logger.info("Trained %d networks in %.0f s.", len(recipes), seconds)


def _title(recipe: TrainRecipe) -> str:
    objective = recipe.objective.kind
    return f"{recipe.network.kind} for {objective} on {recipe.data.source.name}"


def _loop_config(recipes: list[TrainRecipe], cache: Path) -> dict[str, Any]:
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
