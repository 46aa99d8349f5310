"""Consistency models of Gaussian data, whose network and teacher are known."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ops.columns import Worker
from ops.losses.consistency_distillation import ConsistencyDistillation
from ops.losses.consistency_finetuning import ConsistencyFinetuning
from ops.losses.consistency_training import ConsistencyTraining
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.purify.consistency_scalings import (
    ConsistencySettings,
    output_scale,
    skip_scale,
)
from ops.purify.denoiser import Denoiser
from ops.purify.karras import input_scale
from ops.purify.open_denoiser import DenoisingNetwork
from ops.weights import WeightsRef

MEAN, STD = 0.2, 0.4  # of the data, on the [-1, 1] range
WORKER = Worker(torch.device("cpu"))
MODEL = ConsistencySettings(num_levels=18, time_factor=1.0)
L2 = {"kind": "l2"}
GROWTH = {"kind": "doubling", "first_levels": 3, "last_levels": 18, "steps_to_last": 9}
Function = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Closed(DenoisingNetwork, frozen=True, extra="forbid"):
    """The posterior mean, times a weight that could learn."""

    highest: float = 80.0
    weights: WeightsRef = WeightsRef(untrained=0)
    weight: Any = 1.0

    def open_denoiser(self, worker: Worker) -> Denoiser:
        def call(noisy: torch.Tensor, level: torch.Tensor) -> Any:
            square = level.view(-1, 1, 1, 1).square()
            mean = MEAN + (noisy - MEAN) * STD**2 / (STD**2 + square)
            return self.weight * mean, None

        return Denoiser(call, self.highest, "the closed form")


def end_of_path(noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    variance, lowest = STD**2 + level**2, STD**2 + MODEL.lowest**2
    return MEAN + (noisy - MEAN) * (lowest / variance).sqrt()


def behind(function: Function, settings: ConsistencySettings = MODEL) -> Any:
    """Return the network whose consistency function is a given one."""

    def network(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        level = (4 * time.double() / settings.time_factor).exp()
        skip, scale, into = (
            one.float().view(-1, 1, 1, 1)
            for one in (
                skip_scale(level, settings),
                output_scale(level, settings).clamp(min=1e-9),
                input_scale(level.float(), settings.sigma_data),
            )
        )
        noisy = scaled / into
        return (function(noisy, level.float().view(-1, 1, 1, 1)) - skip * noisy) / scale

    return network


def learner(network: Any, target: Any = None) -> Learner:
    module = network if isinstance(network, nn.Module) else nn.Identity()
    return Learner(network, module, network, target=target or network)


def drawn(num: int = 64, size: int = 4, step: int = 0) -> Minibatch:
    signed = np.random.default_rng(0).normal(MEAN, STD, (num, 1, size, size))
    image = torch.from_numpy((signed + 1) / 2).float()
    return Minibatch(image, torch.zeros(num, dtype=torch.int64), seed=0, step=step)


def distillation(num: int = 18, **fields: Any) -> ConsistencyDistillation:
    model = MODEL.model_copy(update={"num_levels": num})
    fields = {"teacher": Closed(), "metric": L2, "model": model, **fields}
    return ConsistencyDistillation.model_validate(fields)


def training(model: ConsistencySettings = MODEL, **fields: Any) -> ConsistencyTraining:
    fields = {"growth": GROWTH, "metric": L2, "model": model, **fields}
    return ConsistencyTraining.model_validate(fields)


def finetuning(**fields: Any) -> ConsistencyFinetuning:
    fields = {"sigma": [0.25, 0.5, 1.0], "metric": L2, "model": MODEL, **fields}
    return ConsistencyFinetuning.model_validate(fields)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_the_end_of_the_path_costs_the_solvers_error_and_no_more(
    solver: str, order: int
) -> None:
    exact, losses = learner(behind(end_of_path)), []
    for num in (40, 80, 160):
        loss = distillation(num, solver=solver).open(WORKER)
        losses.append(loss(exact, drawn(512)).item())

    assert losses[0] < 1e-3
    # A step's error falls by 2 to the order + 1 with half the length; its square twice.
    for long, short in pairwise(losses):
        assert long / short == pytest.approx(4 ** (order + 1), rel=0.35)


def test_the_posterior_mean_is_no_consistency_function() -> None:
    def posterior_mean(noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return MEAN + (noisy - MEAN) * STD**2 / (STD**2 + level**2)

    loss = distillation(80).open(WORKER)

    exact = loss(learner(behind(end_of_path)), drawn()).item()
    assert loss(learner(behind(posterior_mean)), drawn()).item() > 100 * exact


@pytest.mark.parametrize("num", [2, 18])
def test_at_the_lowest_level_the_slow_copy_has_no_say(num: int) -> None:
    loss = distillation(num).open(WORKER)
    exact = behind(end_of_path)

    losses = [
        loss(learner(exact, target=behind(lambda noisy, _, s=s: s * noisy)), drawn())
        for s in (0.0, 1.0)
    ]

    assert torch.equal(*losses) == (num == 2)


def test_without_a_teacher_both_levels_have_the_same_noise() -> None:
    batch = drawn(8)
    returns_its_input = learner(behind(lambda noisy, _: noisy))
    values = torch.from_numpy(MODEL.levels().model_copy(update={"num": 3}).values())

    loss = training().open(WORKER)(returns_its_input, batch).item()

    index = (batch.uniform("level") * 2).long()
    length = (values[index + 1] - values[index]).view(-1, 1, 1, 1)
    expected = (length * batch.gaussian("noise")).square().mean().item()
    assert loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("step", "num"), [(0, 3), (3, 5), (6, 9), (9, 18), (50, 18)])
def test_levels_are_those_of_the_step_each_as_often(step: int, num: int) -> None:
    seen: list[torch.Tensor] = []

    def spy(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen.append((4 * time).exp())
        return scaled

    training().open(WORKER)(learner(spy), drawn(4000, size=1, step=step))

    grid = MODEL.levels().model_copy(update={"num": num}).values()
    low, high = (np.abs(each[:, None].numpy() - grid).argmin(axis=1) for each in seen)
    assert (high == low + 1).all()
    counts = np.bincount(low, minlength=num)[:-1]
    slack = 5 * math.sqrt(4000 / (num - 1))  # five standard errors
    assert np.abs(counts - 4000 / (num - 1)).max() < slack


def test_a_perfect_purifier_costs_nothing() -> None:
    batch = drawn()
    network = behind(lambda noisy, level: 2 * batch.image - 1)

    assert finetuning().open(WORKER)(network, batch).item() < 1e-8


def test_purified_are_noises_of_every_sigma_told_the_nearest_level() -> None:
    seen: list[torch.Tensor] = []
    batch = replace(drawn(3000, size=8), image=torch.full((3000, 1, 8, 8), 0.5))

    def spy(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        level = (4 * time).exp()
        noisy = scaled / input_scale(level, MODEL.sigma_data).view(-1, 1, 1, 1)
        seen.extend([level, noisy.flatten(1).std(dim=1)])
        return scaled

    finetuning().open(WORKER)(spy, batch)

    told, std = seen
    grid = MODEL.levels().values()
    for sigma in (0.25, 0.5, 1.0):
        nearest = grid[np.abs(grid - 2 * sigma).argmin()]
        own = (told - nearest).abs() < 1e-3
        assert abs(int(own.sum()) - 1000) < 5 * math.sqrt(3000 * 2 / 9)
        assert std[own].mean().item() == pytest.approx(2 * sigma, rel=0.01)
    assert len(Counter(told.tolist())) == 3


@pytest.mark.parametrize("kind", ["distillation", "training", "finetuning"])
def test_only_the_network_under_training_learns(kind: str) -> None:
    student, slow = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1)
    slow.load_state_dict(student.state_dict())
    weight = torch.tensor(1.0, requires_grad=True)
    made = {
        "distillation": distillation(teacher=Closed(weight=weight)),
        "training": training(),
        "finetuning": finetuning(),
    }

    def call(module: nn.Module) -> Any:
        return lambda scaled, time: module(scaled)

    made[kind].open(WORKER)(learner(call(student), call(slow)), drawn()).backward()

    assert all(one.grad is not None for one in student.parameters())
    assert all(one.grad is None for one in slow.parameters())
    assert weight.grad is None


def test_a_slow_copy_that_is_the_network_itself_is_held_fast() -> None:
    student = nn.Conv2d(1, 1, 3, padding=1)
    copied = nn.Conv2d(1, 1, 3, padding=1)
    copied.load_state_dict(student.state_dict())
    loss, gradients = training().open(WORKER), []

    for target in (student, copied):
        made = learner(
            lambda scaled, _: student(scaled),
            lambda scaled, _, target=target: target(scaled),
        )
        found = torch.autograd.grad(loss(made, drawn()), student.weight)
        gradients.extend(found)

    assert torch.equal(*gradients)
