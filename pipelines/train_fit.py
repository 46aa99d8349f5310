"""Trainings under Ray Train: their workers, their checkpoints, their leavings."""

import contextlib
import json
import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray.train
from ray.train import UserCallback
from ray.train.torch import TorchTrainer

from infra.filesystem import filesystem_of
from pipelines.train_loop import Task
from pipelines.train_parts import TrainWorkers
from pipelines.train_recipe import TrainRecipe
from pipelines.train_worker import Outcome, train_and_publish

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

POLL_SECONDS = "0.5"
"""How often Ray Train looks at its workers: its own 2 s delay every end of training."""

NOTES = "checkpoint_manager_snapshot.json"
"""Ray Train's list of a run's checkpoints."""

logger = logging.getLogger(__name__)


def fit(
    tasks: Sequence[Task],
    written: Sequence[TrainRecipe],
    cache: Path,
    *,
    run: str,
    callback: UserCallback,
) -> Outcome:
    """Train one after the other in the same workers, which skip what is trained.

    Args:
        tasks: of recipes with equal workers and one place of checkpoints.
        written: their recipes as written.
        cache: folder of all trained weights, on a disk that all nodes see.
        run: names the checkpoints: the same again meets them.
        callback: told of every checkpoint, in a process of Ray's.

    Returns:
        What the first worker says.

    Raises:
        ray.train.TrainingFailedError: workers were lost too often.
    """
    recipe = tasks[0].recipe
    files, place = filesystem_of(recipe.checkpoints.uri or cache / "unfinished")
    discard_torn(files, f"{place}/{run}")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", POLL_SECONDS)
    config = {"tasks": list(tasks), "written": list(written), "cache": str(cache)}
    trainer = TorchTrainer(
        train_and_publish,
        train_loop_config=config,
        scaling_config=_scaling(recipe.workers),
        run_config=ray.train.RunConfig(
            name=run,
            storage_path=place,
            storage_filesystem=files,
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            failure_config=ray.train.FailureConfig(recipe.workers.max_failures),
            logging_config=ray.train.LoggingConfig("WARNING"),
            callbacks=[callback],
        ),
    )
    outcome: Any
    with _interrupts_kept():
        outcome = trainer.fit().return_value
    files.delete_dir(f"{place}/{run}")
    return outcome


def discard_torn(files: "FileSystem", run: str) -> None:
    """Begin anew where a kill tore Ray Train's own notes, which it would refuse.

    Args:
        files: where checkpoints lie.
        run: folder of a run there.
    """
    try:
        with files.open_input_file(f"{run}/{NOTES}") as file:
            json.loads(file.read())
    except FileNotFoundError:
        return
    except json.JSONDecodeError:
        logger.warning("Training begins anew: the kill that ended it tore %s.", run)
        files.delete_dir(run)


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
