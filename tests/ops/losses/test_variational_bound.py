"""Terms of the bound, held against PyTorch's own distributions."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ops.losses.variational_bound import (
    byte_code_length,
    gaussian_divergence,
    variational_bound,
)
from ops.schedules import Schedule

LINEAR = Schedule(kind="linear", num_timesteps=10, beta_start=0.01, beta_end=0.3)
TIMESTEP = torch.tensor([1, 4, 9])
SHAPE = (3, 1, 2, 2)


def drawn(low: float, high: float, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.uniform(low, high, SHAPE)).float()


def bound(clean_error: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    return variational_bound(
        drawn(-1, 1), clean_error, variance, timestep=TIMESTEP, schedule=LINEAR
    )


def test_the_posterior_itself_costs_nothing() -> None:
    cost = bound(torch.zeros(SHAPE), torch.full(SHAPE, -1.0))

    assert cost.abs().max() < 1e-6


def test_a_term_is_the_divergence_of_the_reverse_step_from_the_posterior() -> None:
    image, seen, variance = drawn(-1, 1), drawn(-1, 1, seed=1), drawn(-1, 1, seed=2)
    noised = drawn(-2, 2, seed=3)

    cost = variational_bound(
        image, image - seen, variance, timestep=TIMESTEP, schedule=LINEAR
    )

    beta = np.linspace(0.01, 0.3, 10)
    alpha_bar = np.cumprod(1 - beta)
    for row, t in enumerate(TIMESTEP.tolist()):
        rest, rest_before = 1 - alpha_bar[t], 1 - alpha_bar[t - 1]
        least = beta[t] * rest_before / rest

        def mean(clean: torch.Tensor, t: int = t, row: int = row) -> torch.Tensor:
            of_clean = math.sqrt(alpha_bar[t - 1]) * beta[t] * clean
            rest_before = 1 - alpha_bar[t - 1]
            of_noised = math.sqrt(1 - beta[t]) * rest_before * noised[row]
            return (of_clean + of_noised) / (1 - alpha_bar[t])

        share = (variance[row] + 1) / 2
        log_variance = share * math.log(beta[t]) + (1 - share) * math.log(least)
        posterior = Normal(mean(image[row]), math.sqrt(least))
        step = Normal(mean(seen[row]), (log_variance / 2).exp())
        bits = kl_divergence(posterior, step).mean().item() / math.log(2)
        assert cost[row].item() == pytest.approx(bits, rel=1e-3)


def test_the_best_variance_for_an_error_is_in_between() -> None:
    variance = torch.full(SHAPE, 0.0).requires_grad_()

    for error, towards in ((0.0, 1), (10.0, -1)):
        (gradient,) = torch.autograd.grad(
            bound(torch.full(SHAPE, error), variance).sum(), variance
        )
        assert (torch.sign(gradient) == towards).all()


def test_a_divergence_is_0_for_equals_and_positive_for_others() -> None:
    error, model = drawn(-1, 1), drawn(-2, 2, seed=1)

    same = gaussian_divergence(torch.zeros(SHAPE), model[:, :, :1, :1], model)
    other = gaussian_divergence(error, torch.zeros(3, 1, 1, 1), model)

    assert same[:, :, 0, 0].abs().max() == 0
    assert (other > 0).all()


@pytest.mark.parametrize("std", [0.003, 0.1, 2.0])
def test_the_probabilities_of_all_bytes_add_up_to_1(std: float) -> None:
    value = torch.linspace(-1, 1, 256).view(-1, 1, 1, 1)
    log_variance = torch.full_like(value, 2 * math.log(std))

    length = byte_code_length(value, value - 0.3, log_variance)

    assert (length >= 0).all()
    # Each of the 256 is off by at most what the guard against log(0) adds.
    assert (-length).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_timestep_0_costs_the_code_length_of_the_image() -> None:
    image, error, variance = drawn(-1, 1), drawn(-0.2, 0.2, seed=1), torch.zeros(SHAPE)

    cost = variational_bound(
        image, error, variance, timestep=torch.tensor([0, 0, 0]), schedule=LINEAR
    )

    beta = np.linspace(0.01, 0.3, 10)
    alpha_bar = np.cumprod(1 - beta)
    least = beta[1] * (1 - alpha_bar[0]) / (1 - alpha_bar[1])  # there is none at 0
    log_variance = torch.full(SHAPE, math.log(beta[0] * least) / 2)
    bits = byte_code_length(image, error, log_variance).mean(dim=(1, 2, 3))
    torch.testing.assert_close(cost, bits / math.log(2), rtol=1e-4, atol=1e-5)
