"""Trainings under Ray Train: their workers, their checkpoints, their leavings."""

import contextlib
import logging
import os
import shutil
import signal
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray.train
from ray.train import UserCallback
from ray.train.torch import TorchTrainer

from pipelines.train_loop import Task
from pipelines.train_parts import TrainWorkers
from pipelines.train_recipe import TrainRecipe
from pipelines.train_worker import Outcome, train_and_publish

POLL_SECONDS = "0.5"
"""How often Ray Train looks at its workers: its own 2 s delay every end of training."""

logger = logging.getLogger(__name__)


def fit(
    tasks: Sequence[Task],
    written: Sequence[TrainRecipe],
    cache: Path,
    *,
    callback: UserCallback,
) -> Outcome:
    """Train one after the other in the same workers, which skip what is trained.

    Args:
        tasks: of recipes with equal workers and one place of checkpoints.
        written: their recipes as written.
        cache: folder of all trained weights, on a disk that all nodes see.
        callback: told of every checkpoint, in a process of Ray's.

    Returns:
        What the first worker says.

    Raises:
        ray.train.TrainingFailedError: workers were lost too often.
    """
    recipe = tasks[0].recipe
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", POLL_SECONDS)
    notes = cache / "starts"
    config = {"tasks": list(tasks), "written": list(written), "cache": str(cache)}
    trainer = TorchTrainer(
        train_and_publish,
        train_loop_config=config,
        scaling_config=_scaling(recipe.workers),
        run_config=ray.train.RunConfig(
            # Ray's notes of this start alone: checkpoints are ours.
            name=f"ray-{uuid.uuid4().hex}",
            storage_path=str(notes),
            failure_config=ray.train.FailureConfig(recipe.workers.max_failures),
            logging_config=ray.train.LoggingConfig("WARNING"),
            callbacks=[callback],
        ),
    )
    outcome: Any
    try:
        with _interrupts_kept():
            outcome = trainer.fit().return_value
    finally:
        shutil.rmtree(notes / str(trainer.run_config.name), ignore_errors=True)
    return outcome


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
