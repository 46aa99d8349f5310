from typing import Any

import numpy as np
import pytest
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from ops.schedules import Schedule, embedded_timestep, sigma_signed_of, timestep_of

LINEAR = Schedule(kind="linear", num_timesteps=1000, beta_start=1e-4, beta_end=0.02)
COSINE = Schedule(kind="cosine", num_timesteps=1000)
BETAS: dict[str, Any] = {"beta_start": 1e-4, "beta_end": 0.02}


@pytest.mark.parametrize(
    ("kind", "name", "betas"),
    [
        ("linear", "linear", BETAS),
        ("scaled_linear", "scaled_linear", BETAS),
        ("cosine", "squaredcos_cap_v2", {}),
    ],
)
def test_alpha_bar_is_that_of_diffusers_schedulers(
    kind: Any, name: Any, betas: dict[str, Any]
) -> None:
    theirs = DDPMScheduler(num_train_timesteps=500, beta_schedule=name, **betas)
    ours = Schedule(kind=kind, num_timesteps=500, **betas).alpha_bar()
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, theirs.alphas_cumprod.numpy(), rtol=1e-4)


@pytest.mark.parametrize("schedule", [LINEAR, COSINE])
def test_noise_grows_with_every_timestep(schedule: Schedule) -> None:
    assert (np.diff(sigma_signed_of(schedule.alpha_bar())) > 0).all()


@pytest.mark.parametrize("sigma", np.linspace(0.02, 2.0, 37).tolist())
def test_first_timestep_is_the_first_that_is_noisy_enough(sigma: float) -> None:
    levels = sigma_signed_of(LINEAR.alpha_bar()) / 2
    timestep = timestep_of(LINEAR, sigma, "first_from_zero")
    assert levels[timestep] >= sigma > levels[timestep - 1]
    nearest = timestep_of(LINEAR, sigma, "nearest")
    assert abs(levels[nearest] - sigma) == np.abs(levels - sigma).min()


def test_only_the_rule_of_dds_leaves_out_timestep_zero() -> None:
    sigma = 1e-4
    assert timestep_of(LINEAR, sigma, "first_from_zero") == 0
    assert timestep_of(LINEAR, sigma, "first_from_one") == 1


def test_closed_form_lies_within_one_of_the_first_noisy_enough() -> None:
    for sigma in np.linspace(0.01, 5.0, 50).tolist():
        closed = timestep_of(COSINE, sigma, "closed_form")
        first = timestep_of(COSINE, sigma, "first_from_zero")
        assert 0 <= closed - first <= 1


@pytest.mark.parametrize("sigma", [0.0, -0.5, 100.0, float("nan")])
def test_sigma_that_no_timestep_has_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="needs a sigma above 0 and up to 78"):
        timestep_of(LINEAR, sigma, "nearest")


def test_closed_form_is_refused_where_it_would_round_past_the_end() -> None:
    largest = sigma_signed_of(COSINE.alpha_bar())[-1] / 2
    with pytest.raises(ValueError, match="No timestep has this noise"):
        timestep_of(COSINE, largest, "closed_form")


def test_closed_form_is_refused_for_a_schedule_that_is_no_cosine() -> None:
    with pytest.raises(ValueError, match="closed_form needs a cosine schedule"):
        timestep_of(LINEAR, 0.25, "closed_form")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "linear", "num_timesteps": 10},
        {"kind": "scaled_linear", "num_timesteps": 10, "beta_end": 0.02},
        {"kind": "cosine", "num_timesteps": 10, **BETAS},
    ],
)
def test_schedule_takes_the_betas_of_its_kind_and_no_others(
    fields: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="of beta_start and beta_end"):
        Schedule(**fields)


def test_rescaled_time_runs_to_a_thousand_whatever_the_length() -> None:
    assert embedded_timestep(1158, 4000, rescale=True) == 289.5
    assert embedded_timestep(1158, 4000, rescale=False) == 1158.0
