"""What Ray Train calls in each of its workers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
import torch

from pipelines.train_loop import Diverged, run_training
from pipelines.train_publish import folder_of, publish


@dataclass(frozen=True)
class Outcome:
    """What a worker tells the driver in the end."""

    done_before: int
    """Steps that checkpoints of an interrupted run had already done."""

    refusal: str | None = None
    """Why a training diverged."""


def train_and_publish(config: dict[str, Any]) -> Outcome:
    """Train and publish recipe after recipe, inside a Ray Train worker.

    Args:
        config: ``trainings``, each a recipe and a reference to its images; ``cache``.

    Returns:
        What happened. A training that diverged is no error here, because Ray Train
        would take it for a lost worker and try again.
    """
    cache = Path(config["cache"])
    done_before = 0
    for recipe, reference in config["trainings"]:
        if folder_of(recipe, cache).exists():
            continue
        image, label = ray.get(reference)
        try:
            trained, first = run_training(recipe, _tensor(image), _tensor(label))
        except Diverged as reason:
            return Outcome(done_before, refusal=str(reason))
        done_before += first
        if ray.train.get_context().get_world_rank() == 0:
            publish(recipe, trained.state_dict(), cache)
    return Outcome(done_before)


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Return a tensor of its own: arrays out of the object store are read-only."""
    return torch.from_numpy(array.copy())
