"""Every objective of a denoiser, descended for a second on four images."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.initialise import initialise
from ops.losses.ddpm import DdpmObjective, LogUniformSigma
from ops.losses.dncnn_clf import DenoiseClf
from ops.losses.dncnn_mse import DenoiseMse
from ops.losses.dncnn_stab import DenoiseStab
from ops.losses.edm import EdmObjective
from ops.losses.minibatch import Minibatch
from ops.purify.dncnn import ResidualDenoiser
from ops.purify.one_shot import Prediction
from ops.schedules import Schedule
from ops.weights import WeightsRef

WORKER = Worker(torch.device("cpu"))
COSINE = Schedule(kind="cosine", num_timesteps=1000)
LEVELS = LogUniformSigma(sigma_low=0.1, sigma_high=1.0)
STEPS = 200
COPIES = 16
"""Of each image in a step."""

Network = Callable[..., torch.Tensor]


class Timed(nn.Module):
    """Three linear layers that are told the time, as a number about 1."""

    def __init__(self, scale: float, outputs: int = 1) -> None:
        super().__init__()
        self.scale, self.outputs = scale, outputs
        self.layers = nn.Sequential(
            nn.Linear(64 + 1, 128),
            nn.SiLU(),
            nn.Linear(128, 128),
            nn.SiLU(),
            nn.Linear(128, 64 * outputs),
        )

    def forward(self, image: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        told = torch.cat([image.flatten(1), self.scale * time[:, None]], dim=1)
        return self.layers(told).view(-1, self.outputs, 8, 8)


@pytest.fixture
def batch() -> Minibatch:
    digits = load_digits()
    image = torch.from_numpy(digits.images[:4]).float()[:, None] / 16
    label = torch.from_numpy(digits.target[:4]).long()
    images, labels = image.repeat(COPIES, 1, 1, 1), label.repeat(COPIES)
    return Minibatch(images, labels, seed=0, step=0)


def gain(
    objective: Any, network: nn.Module, nothing: Network, batch: Minibatch
) -> float:
    """Return how many times less a trained network costs than one that knows nothing.

    Both are measured on noise that is not trained on.
    """
    network = initialise(network, 0)
    loss = objective.open(WORKER)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(STEPS):
        optimiser.zero_grad()
        loss(network, replace(batch, step=step)).backward()
        optimiser.step()
    held = replace(batch, step=STEPS)
    with torch.no_grad():
        return loss(nothing, held).item() / loss(network.eval(), held).item()


def silent(image: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(image)


def unchanged(noisy: torch.Tensor) -> torch.Tensor:
    return noisy


@pytest.mark.parametrize(
    ("prediction", "times"), [("epsilon", 2.0), ("v", 2.0), ("x0", 8.0)]
)
def test_a_network_learns_what_it_is_to_predict(
    batch: Minibatch, prediction: Prediction, times: float
) -> None:
    objective = DdpmObjective(schedule=COSINE, timesteps=LEVELS, prediction=prediction)

    assert gain(objective, Timed(scale=1e-3), silent, batch) > times


def test_a_network_learns_its_variance_too(batch: Minibatch) -> None:
    objective = DdpmObjective(schedule=COSINE, timesteps=LEVELS, learned_sigma=True)

    def silent_twice(image: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(image).repeat(1, 2, 1, 1)

    assert gain(objective, Timed(scale=1e-3, outputs=2), silent_twice, batch) > 2.0


def test_a_preconditioned_network_learns_to_denoise(batch: Minibatch) -> None:
    objective = EdmObjective(log_mean=0.0, log_std=0.7)

    assert gain(objective, Timed(scale=1.0), silent, batch) > 2.0


def test_a_denoiser_learns_the_clean_images(batch: Minibatch) -> None:
    objective = DenoiseMse(sigma_train=0.5)

    assert gain(objective, ResidualDenoiser(4, 16, 1), unchanged, batch) > 2.5


@pytest.mark.parametrize("kind", [DenoiseClf, DenoiseStab])
def test_a_denoiser_learns_what_a_frozen_classifier_wants(
    batch: Minibatch, kind: Any
) -> None:
    classifier = DigitsCnn(weights=WeightsRef(untrained=0))
    objective = kind(sigma_train=0.25, classifier=classifier)

    assert gain(objective, ResidualDenoiser(4, 16, 1), unchanged, batch) > 8.0
