"""What a step of a training changes."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ops.initialise import initialise
from ops.purify.averaged_class import without_classes
from ops.weights import Weights, fit_weights
from pipelines.train_recipe import TrainRecipe
from pipelines.train_start import require_same_settings

Row = dict[str, float]
"""One line of a loss curve: numbers by name, ``step`` among them."""


@dataclass
class Training:
    """Everything that a step changes."""

    network: nn.Module
    """The network under training."""

    average: nn.Module
    """Its weights averaged over the steps: what is published."""

    optimiser: torch.optim.Optimizer
    """The algorithm with its moments."""

    target: nn.Module | None
    """A slow copy that the loss looks at; ``None`` where it asks for none."""

    scaler: torch.amp.GradScaler
    """Keeps gradients of float16 from vanishing; idle in other precisions."""

    step: int = 0
    """Steps done."""

    curve: list[Row] = field(default_factory=list)
    """Lines of the loss curve so far."""

    unread: list[float] = field(default_factory=list)
    """Losses since the last line."""

    def state(self, name: str) -> dict[str, Any]:
        """Return all of it, and the name of the training it belongs to."""
        return {
            "training": name,
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            **({"target": self.target.state_dict()} if self.target else {}),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "curve": self.curve,
            "unread": self.unread,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what ``state`` returned."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        if self.target is not None:
            self.target.load_state_dict(state["target"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.curve, self.unread = list(state["curve"]), list(state["unread"])


def open_training(
    recipe: TrainRecipe, device: torch.device, start: Weights | None = None
) -> Training:
    """Return a training before its first step; it follows from the recipe alone.

    Args:
        recipe: what to train.
        device: where.
        start: weights that ``recipe.start`` names.

    Raises:
        ValueError: the weights do not fit the network, or were trained for other
            settings than the objective's.
    """
    network = initialise(recipe.network.network(), recipe.seed)
    if start is not None and recipe.start is not None:
        require_same_settings(recipe.objective, start)
        averaged = recipe.start.average_classes
        begin = without_classes(start) if averaged else start
        begin_with(network, begin, recipe.start.skip)
    network = network.to(device)
    average = copy.deepcopy(network).requires_grad_(False)
    target = None
    if target_decay(recipe) is not None:
        target = copy.deepcopy(network).requires_grad_(False)
    optimiser = recipe.optimiser.algorithm.open(
        network.parameters(), recipe.optimiser.weight_decay
    )
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
    return Training(network, average, optimiser, target, scaler)


def target_decay(recipe: TrainRecipe) -> float | None:
    """Return how slow the copy is that a recipe's objective looks at, if at one."""
    return getattr(recipe.objective, "target_decay", None)


def begin_with(network: nn.Module, start: Weights, skip: tuple[str, ...]) -> None:
    """Put weights into a network, but for those that are to stay random.

    Args:
        network: changed in place.
        start: of the same network, with other shapes only where they are skipped.
        skip: what names of tensors begin with that stay as they are.

    Raises:
        ValueError: they do not fit, or nothing has a name that is to be skipped.
    """
    own = network.state_dict()
    for prefix in skip:
        if not any(name.startswith(prefix) for name in own):
            raise ValueError(
                f"start.skip needs beginnings of names that the network has; "
                f"{prefix!r} begins none. They begin with: "
                f"{', '.join(sorted({name.partition('.')[0] for name in own}))}."
            )
    kept = {name: own[name] for name in own if name.startswith(skip)}
    read = {n: t for n, t in start.tensors.items() if not n.startswith(skip)}
    counters = {n: own[n] for n in own if n.endswith(".num_batches_tracked")}
    fit_weights(network, Weights(start.source, {**counters, **read, **kept}))
