"""One step of a training: a loss, its gradient, new weights."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.utils import clip_grad_norm_

from ops.global_noise import global_generators_at
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.noise import noise_key
from pipelines.train_optimiser import learning_rate_at
from pipelines.train_recipe import TrainRecipe
from pipelines.train_state import Training, target_decay

Loss = Callable[[Learner, Minibatch], torch.Tensor]

PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}

_LONGEST_MEMORY = 10
"""Steps by which the average lags behind the first weights: of n steps, it keeps
``n / (10 + n)`` until that is more than ``ema_decay``."""


class Diverged(ArithmeticError):
    """A training whose loss is no number any more."""


@dataclass(frozen=True)
class Step:
    """The step of one recipe on one worker."""

    recipe: TrainRecipe
    loss: Loss
    learner: Learner
    wrapped: nn.Module
    """The network as it is called, perhaps wrapped to train in parallel."""

    keys: Callable[[int], list[str]]
    """Names of the images of a step, for the error."""

    def __call__(self, training: Training, batch: Minibatch) -> None:
        """Take one step on this worker's share of a batch.

        Args:
            training: changed in place.
            batch: on the device.

        Raises:
            Diverged: the loss of a worker is no number.
        """
        rate = learning_rate_at(training.step, self.recipe.optimiser)
        for group in training.optimiser.param_groups:
            group["lr"] = rate
        training.optimiser.zero_grad()
        device = batch.image.device
        # Dropout and drop path: another draw for each worker and step, the same again.
        key = noise_key(batch.seed, 0.0, "dropout", "train", training.step)
        with global_generators_at(key + batch.first, device):
            loss = self._mean(self._gradients(training, batch))
        self._require_number(loss, training.step, rate)
        self._move(training)
        share_statistics(training.network)
        training.unread.append(loss)
        training.step += 1
        decay = training.step / (_LONGEST_MEMORY + training.step)
        own = min(self.recipe.optimiser.ema_decay, decay)
        _move_towards(training.average, training.network, own)
        if training.target is not None:
            slow = target_decay(self.recipe) or 0.0
            _move_towards(training.target, training.network, slow)

    def _gradients(self, training: Training, batch: Minibatch) -> torch.Tensor:
        """Add up the gradients of a share's parts; return the mean of their losses."""
        num_parts = self.recipe.optimiser.accumulate
        dtype = PRECISIONS.get(self.recipe.precision)
        total = torch.zeros((), device=batch.image.device)
        for index, part in enumerate(batch.parts(num_parts)):
            device = part.image.device.type
            with self._in_step(last=index + 1 == num_parts):
                with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
                    loss = self.loss(self.learner, part) / num_parts
                training.scaler.scale(loss).backward()
            total += loss.detach()
        return total

    def _in_step(self, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Workers exchange gradients once a step, with the last part."""
        if last or not hasattr(self.wrapped, "no_sync"):
            return contextlib.nullcontext()
        together: Any = self.wrapped
        return together.no_sync()

    def _mean(self, loss: torch.Tensor) -> float:
        if distributed.is_initialized() and distributed.get_world_size() > 1:
            distributed.all_reduce(loss)
            loss = loss / distributed.get_world_size()
        return loss.item()

    def _require_number(self, loss: float, step: int, rate: float) -> None:
        """Stop all workers at once, for all have the same mean."""
        if abs(loss) < float("inf"):
            return
        raise Diverged(
            f"A training needs a finite loss; at step {step} and learning rate "
            f"{rate:.3g} it has {loss} on the images {', '.join(self.keys(step))}. "
            f"Lower optimiser.learning_rate, warm up longer, or look at the images."
        )

    def _move(self, training: Training) -> None:
        if self.recipe.optimiser.clip_norm is not None:
            training.scaler.unscale_(training.optimiser)
            weights = self.learner.module.parameters()
            clip_grad_norm_(weights, self.recipe.optimiser.clip_norm)
        training.scaler.step(training.optimiser)
        training.scaler.update()


@torch.no_grad()
def share_statistics(network: nn.Module) -> None:
    """Give every worker the mean of all workers' batch statistics.

    They then are the same everywhere between steps, in an attack and in a checkpoint
    as well, and rest on all images of a step.

    Args:
        network: changed in place, on every worker at once.
    """
    if not (distributed.is_initialized() and distributed.get_world_size() > 1):
        return
    statistics = [one for one in network.buffers() if one.is_floating_point()]
    if not statistics:
        return
    together = torch.cat([one.flatten() for one in statistics])
    distributed.all_reduce(together)
    together /= distributed.get_world_size()
    sizes = [one.numel() for one in statistics]
    for one, mean in zip(statistics, together.split(sizes), strict=True):
        one.copy_(mean.view_as(one))


def require_finite(training: Training) -> None:
    """Refuse to keep weights of which one is no number.

    Args:
        training: as it stands.

    Raises:
        Diverged: a step left them so; the same on every worker.
    """
    for name, weight in training.network.named_parameters():
        if not weight.isfinite().all():
            raise Diverged(
                f"A training needs finite weights; after step {training.step - 1} "
                f"{name} has others. Lower optimiser.learning_rate, or warm up longer."
            )


@torch.no_grad()
def _move_towards(average: nn.Module, network: nn.Module, decay: float) -> None:
    source = network.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(source[name], 1.0 - decay)
        else:
            tensor.copy_(source[name])
