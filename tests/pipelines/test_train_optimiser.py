import math
from typing import Any

import pytest
import torch
from torch import nn

from pipelines.train_optimiser import Optimiser, learning_rate_at


def optimiser(**changes: Any) -> Optimiser:
    fields = {"steps": 1000, "batch": 4, "learning_rate": 0.1, "warmup": 9, **changes}
    return Optimiser.model_validate(fields)


def test_learning_rate_rises_linearly_and_falls_along_half_a_cosine() -> None:
    cosine = optimiser()

    assert learning_rate_at(0, cosine) == pytest.approx(0.1 / 10)
    assert learning_rate_at(500, cosine) == pytest.approx(0.05)
    quarter = 0.1 * (1 + math.sqrt(0.5)) / 2
    assert learning_rate_at(250, cosine) == pytest.approx(quarter)
    assert 0 < learning_rate_at(999, cosine) < 1e-6


def test_a_step_schedule_falls_at_its_steps_and_nowhere_else() -> None:
    falling = optimiser(schedule={"kind": "step", "at": [300, 600], "factor": 0.1})

    rates = [learning_rate_at(step, falling) for step in (9, 299, 300, 599, 600, 999)]

    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_a_constant_schedule_stays_after_its_warmup() -> None:
    constant = optimiser(schedule={"kind": "constant"})

    assert learning_rate_at(4, constant) == pytest.approx(0.05)
    assert {learning_rate_at(step, constant) for step in range(9, 1000)} == {0.1}


@pytest.mark.parametrize("at", [[], [5, 5], [9, 3]])
def test_steps_that_do_not_rise_are_refused(at: list[int]) -> None:
    with pytest.raises(ValueError, match="rising steps"):
        optimiser(schedule={"kind": "step", "at": at})


def test_momentum_moves_weights_by_its_closed_form() -> None:
    weight = nn.Parameter(torch.zeros(1))
    sgd = optimiser(algorithm={"kind": "sgd", "momentum": 0.5})
    algorithm = sgd.algorithm.open([weight], weight_decay=0.0)
    for group in algorithm.param_groups:
        group["lr"] = 1.0

    for _ in range(3):
        weight.grad = torch.ones(1)
        algorithm.step()

    # Velocities 1, 1.5 and 1.75.
    assert weight.item() == pytest.approx(-4.25)


@pytest.mark.parametrize(("kind", "length"), [("adam", 0.01), ("radam", 0.03)])
def test_radams_first_steps_are_as_long_as_the_gradient(
    kind: str, length: float
) -> None:
    weight = nn.Parameter(torch.zeros(1))
    algorithm = optimiser(algorithm={"kind": kind}).algorithm.open([weight], 0.0)
    for group in algorithm.param_groups:
        group["lr"] = 0.01

    weight.grad = torch.full((1,), 3.0)
    algorithm.step()

    assert weight.item() == pytest.approx(-length, rel=1e-5)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_decay_is_part_of_adams_gradient_and_apart_from_adamws(kind: str) -> None:
    weight = nn.Parameter(torch.ones(1))
    algorithm = optimiser(algorithm={"kind": kind}).algorithm.open([weight], 0.1)
    for group in algorithm.param_groups:
        group["lr"] = 0.01

    weight.grad = torch.zeros(1)
    algorithm.step()

    # Adam's first step is the learning rate whatever the gradient; AdamW's is 0.
    expected = {"adam": 1 - 0.01, "adamw": 1 - 0.01 * 0.1}
    assert weight.item() == pytest.approx(expected[kind], abs=1e-6)
