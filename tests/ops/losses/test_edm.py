import math

import numpy as np
import pytest
import torch

from ops.losses.edm import EdmObjective, edm_loss
from ops.losses.minibatch import Minibatch
from ops.purify.karras import input_scale, output_scale, skip_scale

MEAN, STD = 0.2, 0.4  # of the data, on the [-1, 1] range
DATA = 0.5


def drawn(num: int, size: int = 4) -> Minibatch:
    signed = np.random.default_rng(0).normal(MEAN, STD, (num, 1, size, size))
    image = torch.from_numpy((signed + 1) / 2).float()
    return Minibatch(image, torch.zeros(num, dtype=torch.int64), seed=0, step=0)


def behind(denoise: object, sigma_data: float = DATA) -> object:
    """Return the network whose denoiser is a given function of image and level."""

    def network(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        level = (4 * time).exp()
        wide = level.view(-1, 1, 1, 1)
        noisy = scaled / input_scale(level, sigma_data).view(-1, 1, 1, 1)
        rest = (
            denoise(noisy, wide)
            - skip_scale(level, sigma_data).view(-1, 1, 1, 1) * noisy
        )
        return rest / output_scale(level, sigma_data).view(-1, 1, 1, 1)

    return network


def test_a_perfect_denoiser_costs_nothing() -> None:
    batch = drawn(16)
    network = behind(lambda noisy, level: 2 * batch.image - 1)

    assert EdmObjective().loss(network, batch).item() < 1e-8


@pytest.mark.parametrize("level", [0.1, 0.5, 2.0])
def test_the_posterior_mean_of_gaussian_data_costs_its_variance(level: float) -> None:
    batch = drawn(500, size=8)

    def posterior_mean(noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return (STD**2 * noisy + level**2 * MEAN) / (STD**2 + level**2)

    losses = edm_loss(
        behind(posterior_mean),
        batch.image,
        batch.gaussian("noise"),
        sigma_signed=torch.full((500,), level),
        sigma_data=DATA,
    )

    weight = (level**2 + DATA**2) / (level * DATA) ** 2
    expected = weight * STD**2 * level**2 / (STD**2 + level**2)
    slack = 4 * math.sqrt(2 / batch.image.numel())  # four standard errors
    assert losses.mean().item() == pytest.approx(expected, rel=slack)


def test_silence_costs_1_where_the_data_are_as_assumed() -> None:
    batch = drawn(500, size=8)
    signed = (2 * batch.image - 1 - MEAN) / STD * DATA
    image = (signed + 1) / 2

    loss = EdmObjective().loss(
        lambda scaled, time: torch.zeros_like(scaled),
        Minibatch(image, batch.label, seed=0, step=0),
    )

    slack = 4 * math.sqrt(2 / image.numel())  # four standard errors
    assert loss.item() == pytest.approx(1.0, abs=slack)


def test_levels_are_log_normal() -> None:
    batch, seen = drawn(2000), []

    def spy(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen.append(4 * time)
        return scaled

    EdmObjective(log_mean=-0.5, log_std=0.7).loss(spy, batch)

    assert abs(seen[0].mean().item() + 0.5) < 4 * 0.7 / math.sqrt(2000)
    assert abs(seen[0].std().item() - 0.7) < 4 * 0.7 / math.sqrt(4000)


def test_the_loss_is_the_networks_own_squared_error() -> None:
    batch = drawn(16)
    exact = behind(lambda noisy, level: 2 * batch.image - 1)

    losses = edm_loss(
        lambda scaled, time: exact(scaled, time) + 0.3,
        batch.image,
        batch.gaussian("noise"),
        sigma_signed=torch.linspace(0.05, 5, 16),
        sigma_data=DATA,
    )

    assert losses.tolist() == pytest.approx([0.09] * 16, rel=1e-3)
