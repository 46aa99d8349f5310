"""What one Ray Train worker does: step after step, save, go on where it was."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
import torch
from ray.train.torch import get_device, prepare_model

from ops.columns import Worker
from ops.losses.denoised import DenoisedObjective
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from pipelines.train_checkpoints import Checkpoints, checkpoint_store
from pipelines.train_images import ImageList
from pipelines.train_loading import Share, minibatches
from pipelines.train_optimiser import learning_rate_at
from pipelines.train_order import Order
from pipelines.train_probe import measured
from pipelines.train_recipe import TrainRecipe
from pipelines.train_state import Row, Training, open_training
from pipelines.train_step import Loss, Step, require_finite
from pipelines.worker import load_weights


@dataclass(frozen=True)
class Task:
    """One training, as its workers get it."""

    name: str
    """Hash of the recipe as written."""

    recipe: TrainRecipe
    """What to train, its weights found."""

    images: Any
    """Reference to the ``ImageList`` in Ray's object store."""

    probe: Any
    """Reference to pixels and labels of the probe; ``None`` where there is none."""

    cache: Path
    """Folder of all trained weights."""

    images_sha256: str
    """Of keys, labels and content, for the file of weights."""

    def checkpoints(self) -> Checkpoints:
        """Return where the training is saved."""
        store = checkpoint_store(self.recipe, self.cache)
        return Checkpoints(store, self.name, self.recipe.checkpoints.keep)


@dataclass(frozen=True)
class Trained:
    """A training at its end."""

    training: Training
    """The same on every worker."""

    first: int
    """The step it went on from."""

    images_per_second: float
    """Over all workers, from the first step taken here; 0 where none was."""


def run_training(task: Task) -> Trained:
    """Train inside a Ray Train worker, from the last checkpoint if there is one.

    Args:
        task: what to train.

    Raises:
        Diverged: the loss is no number.
        Refused: an image cannot be trained on.
    """
    recipe, device = task.recipe, get_device()
    torch.set_num_threads(recipe.workers.cpus)
    start = load_weights(recipe.start.weights) if recipe.start else None
    training = open_training(recipe, device, start)
    task.checkpoints().restore_last(training, device)
    first = training.step
    worker = Worker(device, load=load_weights)
    seconds = _descend(task, training, recipe.objective.open(worker), device)
    require_finite(training)
    num_images = (training.step - first) * recipe.optimiser.batch
    return Trained(training, first, num_images / seconds if seconds else 0.0)


def _descend(task: Task, training: Training, loss: Loss, device: torch.device) -> float:
    """Take all steps that are left; return their seconds."""
    recipe, context = task.recipe, ray.train.get_context()
    share = Share(context.get_world_rank(), context.get_world_size())
    listed: ImageList = ray.get(task.images)
    step = _step_of(recipe, training, loss, listed, device)
    add_line = _lines_of(task, loss, len(listed), device)
    told, began = len(training.curve), 0.0
    # Whoever is told gets ready while the first images are read.
    ray.train.report({"training": task.name, "lines": []})
    for batch in minibatches(recipe, task.images, share, training.step):
        began = began or time.monotonic()
        step(training, placed(batch, device))
        add_line(training)
        if training.step % recipe.checkpoints.every == 0:
            require_finite(training)
            if share.rank == 0:
                task.checkpoints().save(training)
            lines = training.curve[told:]
            ray.train.report({"training": task.name, "lines": lines})
            told = len(training.curve)
    return time.monotonic() - began if began else 0.0


def _step_of(
    recipe: TrainRecipe,
    training: Training,
    loss: Loss,
    listed: ImageList,
    device: torch.device,
) -> Step:
    network, target = training.network, training.target
    # Statistics of batch norms are shared at the end of a step, not at its start.
    wrapped = prepare_model(
        network, parallel_strategy_kwargs={"broadcast_buffers": False}
    )
    learner = Learner(
        predict=recipe.network.predict(wrapped, device),
        module=network,
        bare=recipe.network.predict(network, device),
        target=recipe.network.predict(target, device) if target else None,
    )

    extra_share = recipe.extra.share if recipe.extra else None
    order = Order(recipe.seed, listed.sizes(), extra_share)

    def keys(step: int) -> list[str]:
        places = np.arange(recipe.optimiser.batch) + step * recipe.optimiser.batch
        return listed.keys(order.positions(places))

    return Step(recipe, loss, learner, wrapped, keys)


def placed(batch: Minibatch, device: torch.device) -> Minibatch:
    """Return a minibatch on a device."""
    weight = None if batch.weight is None else batch.weight.to(device)
    return replace(
        batch,
        image=batch.image.to(device, non_blocking=True),
        label=batch.label.to(device, non_blocking=True),
        weight=weight,
    )


def _lines_of(
    task: Task, loss: Loss, num_images: int, device: torch.device
) -> Callable[[Training], None]:
    """Return what adds a line to the loss curve at the end of a pass."""
    recipe = task.recipe
    per_pass = -(-num_images // recipe.optimiser.batch)
    batch, purify = None, None
    if task.probe is not None:
        if isinstance(recipe.objective, DenoisedObjective):
            purifier, sigma = recipe.objective.purifier, recipe.objective.sigma
            worker = Worker(device, load=load_weights)
            purify = purifier.open_with_noise(worker, sigma)
        image, label = (torch.from_numpy(one.copy()) for one in ray.get(task.probe))
        batch = placed(Minibatch(image, label, recipe.seed, step=0), device)

    def add_line(training: Training) -> None:
        last = training.step == recipe.optimiser.steps
        if training.step % per_pass and not last:
            return
        line = _line(recipe, training, per_pass)
        every = per_pass * recipe.probe.every if recipe.probe else 0
        if batch is not None and (last or training.step % every == 0):
            line |= measured(recipe, training.average, batch, loss, purify)
        training.curve.append(line)

    return add_line


def _line(recipe: TrainRecipe, training: Training, per_pass: int) -> Row:
    losses, training.unread = training.unread, []
    return {
        "step": training.step,
        "pass": training.step / per_pass,
        "loss": sum(losses) / len(losses),
        "learning_rate": learning_rate_at(training.step - 1, recipe.optimiser),
    }
