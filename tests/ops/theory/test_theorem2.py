import math
from typing import Any

import pytest
import torch

from ops.purify.denoiser import Denoiser
from ops.theory.theorem2 import always_valid, as_printed, noise_error

NUM = 4000
LEVELS = [0.2, 0.9, 3.0]


def root_mean_square(images: torch.Tensor, others: torch.Tensor) -> float:
    apart = (images.double() - others.double()).flatten(1)
    return math.sqrt(float(apart.square().sum(dim=1).mean()))


def wrong(denoiser: Denoiser, share: float) -> Denoiser:
    """Return a denoiser that goes only a part of the way, and aside."""

    def call(noisy: Any, level: Any) -> tuple[Any, None]:
        denoised = denoiser.call(noisy, level)[0]
        return noisy + share * (denoised - noisy) + 0.05, None

    return Denoiser(call, denoiser.highest, "wrong")


@pytest.mark.parametrize("level", LEVELS)
def test_error_of_the_perfect_denoiser_is_the_closed_form(
    gaussian_data: Any, level: float
) -> None:
    data = gaussian_data(std=0.6)
    clean = data.clean(NUM)
    denoised = data.denoiser(clean + level * data.noise(NUM), level)
    error = noise_error(denoised, clean, level)

    # Of the noise, given the copy: variance v^2 / (v^2 + s^2) of each pixel.
    expected = data.num_pixels * data.std**2 / (data.std**2 + level**2)
    spread = 4 * math.sqrt(2 * data.num_pixels / NUM) / data.num_pixels  # four errors
    assert float(error.mean()) == pytest.approx(expected, rel=spread)
    # So the bound that always holds is the known distance to the clean image.
    known = math.sqrt(data.num_pixels * data.error_variance(level))
    assert always_valid(level, float(error.mean())) == pytest.approx(known, rel=spread)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("share", [1.0, 0.7, 1.4])
def test_valid_form_equals_the_distance_to_the_clean_images(
    gaussian_data: Any, level: float, share: float
) -> None:
    data = gaussian_data(std=0.6)
    clean = data.clean(NUM)
    denoised = wrong(data.denoiser, share)(clean + level * data.noise(NUM), level)
    mean_error = float(noise_error(denoised, clean, level).mean())

    distance = root_mean_square(denoised, clean)
    assert always_valid(level, mean_error) == pytest.approx(distance, rel=1e-9)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("share", [1.0, 0.7, 1.4, 5.0])
def test_valid_form_bounds_the_distance_to_the_mean_of_clean_images(
    gaussian_data: Any, level: float, share: float
) -> None:
    data = gaussian_data(std=0.6)
    clean = data.clean(NUM)
    noisy = clean + level * data.noise(NUM)
    denoised = wrong(data.denoiser, share)(noisy, level)
    mean = data.denoiser(noisy, level)
    mean_error = float(noise_error(denoised, clean, level).mean())

    distance = root_mean_square(denoised, mean)
    assert distance <= always_valid(level, mean_error)
    # What lies between them is the spread of the clean images about their mean.
    spread = data.num_pixels * data.error_variance(level)
    whole = always_valid(level, mean_error) ** 2
    assert whole == pytest.approx(distance**2 + spread, rel=0.05)


@pytest.mark.parametrize("level", LEVELS)
def test_valid_form_is_reached_where_only_one_image_is_behind_a_copy(
    gaussian_data: Any, level: float
) -> None:
    data = gaussian_data(std=0.0)
    clean = data.clean(200)
    noisy = clean + level * data.noise(200)
    denoised = wrong(data.denoiser, 0.7)(noisy, level)
    mean_error = float(noise_error(denoised, clean, level).mean())

    distance = root_mean_square(denoised, data.denoiser(noisy, level))
    assert distance == pytest.approx(always_valid(level, mean_error), rel=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_difference_to_the_mean_is_that_of_the_predicted_noise_times_the_level(
    gaussian_data: Any, level: float
) -> None:
    data = gaussian_data(std=0.6)
    noisy = data.clean(20) + level * data.noise(20)
    denoised = wrong(data.denoiser, 0.7)(noisy, level)
    mean = data.denoiser(noisy, level)
    # Of the noise given the copy, by the regression of one normal on another.
    mean_noise = level * (noisy - data.mean) / (data.std**2 + level**2)
    predicted = (noisy - denoised) / level

    torch.testing.assert_close(
        denoised - mean, level * (mean_noise - predicted), rtol=1e-4, atol=1e-5
    )


def test_printed_form_is_above_the_valid_one_only_from_an_error_of_one_on() -> None:
    assert as_printed(0.5, 4.0) == pytest.approx(2.0)
    assert always_valid(0.5, 4.0) == pytest.approx(1.0)
    assert as_printed(0.5, 1.0) == always_valid(0.5, 1.0)
    assert as_printed(0.5, 0.25) < always_valid(0.5, 0.25)


def test_printed_form_can_be_broken_where_the_error_is_below_one(
    gaussian_data: Any,
) -> None:
    data = gaussian_data(std=0.0)
    clean = data.clean(500)
    noisy = clean + 0.5 * data.noise(500)
    denoised = wrong(data.denoiser, 0.95)(noisy, 0.5)
    mean_error = float(noise_error(denoised, clean, 0.5).mean())
    assert mean_error < 1

    distance = root_mean_square(denoised, data.denoiser(noisy, 0.5))
    assert as_printed(0.5, mean_error) < distance
    assert distance <= always_valid(0.5, mean_error) * (1 + 1e-6)
