"""What one Ray Train worker does: descend, save, go on where it was."""

import copy
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import Checkpoint
from ray.train.torch import get_device, prepare_model
from torch import distributed, nn

from ops.initialise import initialise
from ops.losses.minibatch import Minibatch
from pipelines.train_data import minibatch_of
from pipelines.train_recipe import Optimiser, TrainRecipe, recipe_hash

STATE_FILE = "state.pt"
"""Name of the one file in a checkpoint."""


class Diverged(ArithmeticError):
    """A training whose loss is no number any more."""


@dataclass
class Training:
    """Everything that a step changes."""

    network: nn.Module
    """The network under training."""

    average: nn.Module
    """Its weights averaged over the steps: what is published."""

    optimiser: torch.optim.Optimizer
    """AdamW with its moments."""

    step: int = 0
    """Steps done."""

    def state(self, recipe: str) -> dict[str, Any]:
        """Return all of it, and the hash of the recipe it belongs to."""
        return {
            "recipe": recipe,
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what ``state`` returned."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])


def run_training(
    recipe: TrainRecipe, image: torch.Tensor, label: torch.Tensor
) -> tuple[nn.Module, int]:
    """Train inside a Ray Train worker, from the last checkpoint if there is one.

    Args:
        recipe: what to train.
        image: all images of the data set, float32 in [0, 1].
        label: their classes.

    Returns:
        The averaged network, the same on every worker, and the step it went on from.

    Raises:
        Diverged: the loss is no number.
    """
    torch.set_num_threads(recipe.workers.cpus)
    device = get_device()
    training = open_training(recipe, device)
    _restore_last_checkpoint(training, recipe_hash(recipe), device)
    first = training.step
    predict = recipe.network.predict(prepare_model(training.network), device)
    while training.step < recipe.optimiser.steps:
        batch = minibatch_of(recipe, training.step, image, label)
        _descend(training, recipe, predict, _share(batch, device))
        if training.step % recipe.checkpoint_every == 0:
            _report(training, recipe_hash(recipe))
    return training.average, first


def open_training(recipe: TrainRecipe, device: torch.device) -> Training:
    """Return a training before its first step; it follows from the recipe alone."""
    network = initialise(recipe.network.network(), recipe.seed).to(device)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(
        network.parameters(), weight_decay=recipe.optimiser.weight_decay
    )
    return Training(network, average, optimiser)


def _share(batch: Minibatch, device: torch.device) -> Minibatch:
    """Return this worker's part of a batch, on its device."""
    context = ray.train.get_context()
    size = len(batch.image) // context.get_world_size()
    first = size * context.get_world_rank()
    own = slice(first, first + size)
    image, label = batch.image[own].to(device), batch.label[own].to(device)
    return Minibatch(image, label, batch.seed, batch.step, first)


def _descend(
    training: Training,
    recipe: TrainRecipe,
    predict: Callable[..., torch.Tensor],
    batch: Minibatch,
) -> None:
    """Take one step."""
    learning_rate = learning_rate_at(training.step, recipe.optimiser)
    for group in training.optimiser.param_groups:
        group["lr"] = learning_rate
    loss = recipe.objective.loss(predict, batch)
    _require_number(loss, training.step, learning_rate)
    training.optimiser.zero_grad()
    loss.backward()
    training.optimiser.step()
    training.step += 1
    decay = min(recipe.optimiser.ema_decay, training.step / (10 + training.step))
    _move_average(training, decay)


def learning_rate_at(step: int, optimiser: Optimiser) -> float:
    """Return the learning rate of a step: a linear rise, then half a cosine to 0.

    Args:
        step: index from 0.
        optimiser: steps, warm-up and the largest rate.

    Source:
        Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts.
    """
    rise = min(1.0, (step + 1) / (optimiser.warmup + 1))
    fall = 0.5 * (1.0 + math.cos(math.pi * step / optimiser.steps))
    return optimiser.learning_rate * rise * fall


def _require_number(loss: torch.Tensor, step: int, learning_rate: float) -> None:
    """Stop all workers at once if the mean of their losses is no number."""
    total = loss.detach().clone()
    if ray.train.get_context().get_world_size() > 1:
        distributed.all_reduce(total)
    if not torch.isfinite(total):
        raise Diverged(
            f"Training needs a finite loss; at step {step} and learning rate "
            f"{learning_rate:.3g} it has {total.item()}. Lower "
            f"optimiser.learning_rate, or warm up longer."
        )


@torch.no_grad()
def _move_average(training: Training, decay: float) -> None:
    source = training.network.state_dict()
    for name, tensor in training.average.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(source[name], 1.0 - decay)
        else:
            tensor.copy_(source[name])


def _report(training: Training, recipe: str) -> None:
    """Give Ray Train a checkpoint; every worker calls it, the first one writes."""
    if ray.train.get_context().get_world_rank() > 0:
        ray.train.report({"step": training.step})
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(training.state(recipe), Path(folder) / STATE_FILE)
        checkpoint = Checkpoint.from_directory(folder)
        ray.train.report({"step": training.step}, checkpoint=checkpoint)


def _restore_last_checkpoint(
    training: Training, recipe: str, device: torch.device
) -> None:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return
    with checkpoint.as_directory() as folder:
        path = Path(folder) / STATE_FILE
        state = torch.load(path, map_location=device, weights_only=True)
    if state["recipe"] == recipe:
        training.restore(state)
