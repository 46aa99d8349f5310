import math

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from ops.losses.ddpm import DdpmObjective, LogUniformSigma, UniformTimestep, ddpm_loss
from ops.losses.gaussian import GaussianObjective
from ops.losses.minibatch import Minibatch
from ops.losses.objective import Objective
from ops.schedules import Schedule, sigma_signed_of

COSINE = Schedule(kind="cosine", num_timesteps=1000)


def drawn(num: int) -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((num, 1, 4, 4), dtype=np.float32))
    return Minibatch(image, torch.zeros(num, dtype=torch.int64), seed=0, step=0)


def test_the_true_noise_costs_nothing() -> None:
    batch, noise = drawn(8), drawn(8).gaussian("noise")
    timestep = torch.arange(8) * 100
    alpha_bar = torch.linspace(0.9, 0.1, 8)

    loss = ddpm_loss(
        lambda noised, timestep: noise,
        batch.image,
        noise,
        timestep=timestep,
        alpha_bar=alpha_bar,
    )

    assert loss.item() == 0.0


def test_predicting_no_noise_costs_its_variance() -> None:
    batch = drawn(2000)

    loss = DdpmObjective(schedule=COSINE).loss(
        lambda noised, timestep: torch.zeros_like(noised), batch
    )

    slack = 4 * math.sqrt(2 / batch.image.numel())  # four standard errors
    assert abs(loss.item() - 1.0) < slack


def test_a_network_that_knows_the_image_solves_for_the_noise() -> None:
    batch = drawn(16)
    alpha_bar = torch.from_numpy(COSINE.alpha_bar()).float()

    def invert(noised: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        kept = alpha_bar[timestep].view(-1, 1, 1, 1)
        return (noised - kept.sqrt() * (2 * batch.image - 1)) / (1 - kept).sqrt()

    levels = LogUniformSigma(sigma_low=0.05, sigma_high=2.0)
    loss = DdpmObjective(schedule=COSINE, timesteps=levels).loss(invert, batch)

    assert loss.item() < 1e-9


def test_uniform_timesteps_reach_from_the_first_to_the_last() -> None:
    uniform = torch.tensor([0.0, 0.0009, 0.0011, 0.5, 1.0])

    timestep = UniformTimestep().timestep(uniform, COSINE)

    assert timestep.tolist() == [0, 0, 1, 500, 999]


def test_log_uniform_sigmas_are_even_on_the_log_scale() -> None:
    low, high = 0.1, 1.6
    uniform = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])

    timestep = LogUniformSigma(sigma_low=low, sigma_high=high).timestep(uniform, COSINE)

    sigma = sigma_signed_of(COSINE.alpha_bar())[timestep.numpy()] / 2
    assert sigma == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6], rel=0.01)


def test_sigmas_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="sigma_low < sigma_high"):
        LogUniformSigma(sigma_low=1.0, sigma_high=0.5)


def test_an_objective_is_found_by_its_kind() -> None:
    found = TypeAdapter(Objective).validate_python(
        {"kind": "gaussian", "sigma_train": 0.25}
    )

    assert found == GaussianObjective(sigma_train=0.25)
