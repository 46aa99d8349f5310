"""What Ray Train calls in each of its workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.train

from pipelines.train_curve import curve_csv
from pipelines.train_loop import Task, run_training
from pipelines.train_publish import CURVE_FILE, folder_of, publish
from pipelines.train_read import Refused
from pipelines.train_recipe import TrainRecipe
from pipelines.train_step import Diverged


@dataclass(frozen=True)
class Outcome:
    """What a worker tells the driver in the end."""

    done_before: int
    """Steps that checkpoints of an interrupted run had already done."""

    images_per_second: Mapping[str, float]
    """How fast each training went, by its hash."""

    refusal: str | None = None
    """Why a training ended early."""


def train_and_publish(config: dict[str, Any]) -> Outcome:
    """Train and publish recipe after recipe, inside a Ray Train worker.

    Args:
        config: ``tasks``, and for each the recipe as ``written``; ``cache``.

    Returns:
        What happened. A training that diverged is no error here, because Ray Train
        would take it for a lost worker and try again.
    """
    tasks: Sequence[Task] = config["tasks"]
    written: Sequence[TrainRecipe] = config["written"]
    cache = Path(config["cache"])
    done_before, rates = 0, {}
    for task, recipe in zip(tasks, written, strict=True):
        folder = folder_of(task.name, cache)
        if folder.exists():
            continue
        try:
            trained = run_training(task)
        except (Diverged, Refused) as reason:
            return Outcome(done_before, rates, refusal=str(reason))
        done_before += trained.first
        rates[task.name] = trained.images_per_second
        if ray.train.get_context().get_world_rank() == 0:
            curve = {CURVE_FILE: curve_csv(trained.training.curve)}
            tensors = trained.training.average.state_dict()
            facts = {"images_sha256": task.images_sha256}
            publish(recipe, tensors, folder, beside=curve, facts=facts)
            task.checkpoints().remove()
    return Outcome(done_before, rates)
