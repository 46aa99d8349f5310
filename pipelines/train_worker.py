"""What Ray Train calls in each of its workers."""

from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
import torch

from pipelines.train_loop import Diverged, run_training
from pipelines.train_publish import folder_of, publish


def train_and_publish(config: dict[str, Any]) -> str | None:
    """Train and publish recipe after recipe, inside a Ray Train worker.

    Args:
        config: ``trainings``, each a recipe and a reference to its images; ``cache``.

    Returns:
        Why a training diverged, or ``None``. Not raised, because Ray Train would take
        it for a lost worker and try again.
    """
    cache = Path(config["cache"])
    for recipe, reference in config["trainings"]:
        if folder_of(recipe, cache).exists():
            continue
        image, label = ray.get(reference)
        try:
            trained = run_training(recipe, _tensor(image), _tensor(label))
        except Diverged as reason:
            return str(reason)
        if ray.train.get_context().get_world_rank() == 0:
            publish(recipe, trained.state_dict(), cache)
    return None


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Return a tensor of its own: arrays out of the object store are read-only."""
    return torch.from_numpy(array.copy())
