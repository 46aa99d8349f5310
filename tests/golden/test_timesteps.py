"""Timesteps and levels computed apart from this code, in float64 from the formulas.

Cosine of 4000 steps is the CIFAR-10 model of Nichol and Dhariwal 2021, linear of 1000
steps the ImageNet model of Dhariwal and Nichol 2021.
"""

import math

import pytest

from ops.schedules import Schedule, sigma_signed_of, timestep_of

COSINE = Schedule(kind="cosine", num_timesteps=4000)
LINEAR = Schedule(kind="linear", num_timesteps=1000, beta_start=1e-4, beta_end=0.02)

ROWS = [
    # schedule, sigma, first at least, half its level, sqrt(alpha_bar), nearest
    (COSINE, 0.0625, 288, 0.06254, 0.992268, 288),
    (COSINE, 0.12, 573, 0.12012, 0.972336, 572),
    (COSINE, 0.25, 1158, 0.25012, 0.894342, 1158),
    (COSINE, 0.5, 1984, 0.50031, 0.706886, 1983),
    (COSINE, 1.0, 2809, 1.00001, 0.447209, 2809),
    (LINEAR, 0.0625, 35, 0.06381, 0.991956, 34),
    (LINEAR, 0.12, 70, 0.12069, 0.972082, 70),
    (LINEAR, 0.25, 145, 0.25158, 0.893294, 144),
    (LINEAR, 0.5, 259, 0.50239, 0.705417, 258),
    (LINEAR, 1.0, 396, 1.00024, 0.447127, 396),
]


@pytest.mark.parametrize(
    ("schedule", "sigma", "first", "half_level", "root", "nearest"), ROWS
)
def test_timesteps_and_levels_are_those_of_the_published_models(  # noqa: PLR0913 - the columns of one table
    schedule: Schedule,
    sigma: float,
    first: int,
    half_level: float,
    root: float,
    nearest: int,
) -> None:
    alpha_bar = schedule.alpha_bar()
    assert timestep_of(schedule, sigma, "first_from_zero") == first
    assert timestep_of(schedule, sigma, "first_from_one") == first
    assert timestep_of(schedule, sigma, "nearest") == nearest
    level = sigma_signed_of(alpha_bar)[first]
    assert level / 2 == pytest.approx(half_level, abs=5e-6)
    assert math.sqrt(alpha_bar[first]) == pytest.approx(root, abs=5e-7)


@pytest.mark.parametrize(
    ("sigma", "timestep"),
    [(0.0625, 289), (0.12, 573), (0.25, 1159), (0.5, 1984), (1.0, 2810)],
)
def test_closed_form_gives_the_timesteps_of_densepure_on_cifar10(
    sigma: float, timestep: int
) -> None:
    assert timestep_of(COSINE, sigma, "closed_form") == timestep
