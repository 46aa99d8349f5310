"""Every objective of a consistency model, descended for a second on four images."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from ops.columns import Worker
from ops.initialise import initialise
from ops.losses.consistency_distillation import ConsistencyDistillation
from ops.losses.consistency_finetuning import ConsistencyFinetuning
from ops.losses.consistency_training import ConsistencyTraining
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.pixels import to_signed
from ops.purify.consistency_scalings import ConsistencySettings, consistency_function
from ops.purify.denoiser import Denoiser
from ops.purify.open_denoiser import DenoisingNetwork
from ops.weights import WeightsRef

WORKER = Worker(torch.device("cpu"))
STEPS = 200
COPIES = 8
"""Of each image in a step."""

LEVEL = 1.0
"""At which purified images are looked at."""

MODEL = ConsistencySettings(num_levels=12, highest=10.0, lowest=0.05, time_factor=1.0)
L2 = {"kind": "l2"}


def four_digits() -> torch.Tensor:
    return torch.from_numpy(load_digits().images[:4]).float()[:, None] / 16


class Posterior(DenoisingNetwork, frozen=True, extra="forbid"):
    """The mean of four digits, by how near a noisy image is to each."""

    weights: WeightsRef = WeightsRef(untrained=0)

    def open_denoiser(self, worker: Worker) -> Denoiser:
        clean = to_signed(four_digits())

        def call(noisy: torch.Tensor, level: torch.Tensor) -> Any:
            square = (noisy[:, None] - clean[None]).flatten(2).square().sum(dim=2)
            share = (-square / (2 * level.square()[:, None])).softmax(dim=1)
            return torch.einsum("ni,ichw->nchw", share, clean), None

        return Denoiser(call, 80.0, "four digits")


class Timed(nn.Module):
    """Three linear layers that are told the time, as a number about 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(65, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU()
        )
        self.last = nn.Linear(128, 64)

    def forward(self, image: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        told = torch.cat([image.flatten(1), time[:, None]], dim=1)
        return self.last(self.layers(told)).view(-1, 1, 8, 8)


OBJECTIVES = {
    "distillation": ConsistencyDistillation.model_validate(
        {"model": MODEL, "teacher": Posterior(), "metric": L2, "target_decay": 0.9}
    ),
    "distillation_huber": ConsistencyDistillation.model_validate(
        {"model": MODEL, "teacher": Posterior(), "metric": {"kind": "huber"}}
    ),
    "training": ConsistencyTraining.model_validate(
        {
            "model": MODEL,
            "metric": L2,
            "growth": {
                "kind": "square_root",
                "first_levels": 4,
                "last_levels": 12,
                "steps_to_last": 100,
            },
        }
    ),
    "finetuning": ConsistencyFinetuning.model_validate(
        {"model": MODEL, "metric": L2, "sigma": [0.25, 0.5]}
    ),
}


@pytest.fixture
def batch() -> Minibatch:
    images = four_digits().repeat(COPIES, 1, 1, 1)
    return Minibatch(images, torch.zeros(len(images)).long(), seed=0, step=0)


def error(network: Callable[..., torch.Tensor], batch: Minibatch) -> float:
    """Return the mean square of what stays of the noise, at noise not trained on."""
    held = replace(batch, step=STEPS)
    signed = to_signed(held.image)
    level = torch.full((len(signed),), LEVEL)
    clean = consistency_function(network, level, MODEL)
    with torch.no_grad():
        purified = clean(signed + LEVEL * held.gaussian("noise"))
    return (purified - signed).square().mean().item()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_network_learns_to_purify(name: str, batch: Minibatch) -> None:
    objective: Any = OBJECTIVES[name]
    network = initialise(Timed(), 0)
    target = copy.deepcopy(network)
    loss, decay = objective.open(WORKER), getattr(objective, "target_decay", 0.0)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    untrained = error(network, batch)

    for step in range(STEPS):
        optimiser.zero_grad()
        learner = Learner(network, network, network, target=target)
        loss(learner, replace(batch, step=step)).backward()
        optimiser.step()
        with torch.no_grad():
            for slow, own in zip(
                target.parameters(), network.parameters(), strict=True
            ):
                slow.lerp_(own, 1 - decay)

    assert error(network, batch) < untrained / 2
