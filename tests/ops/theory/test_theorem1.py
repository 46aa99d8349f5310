import math
from typing import Any

import numpy as np
import pytest
import torch

from ops.purify.denoiser import Denoiser
from ops.theory.theorem1 import (
    Theorem1,
    level_at,
    noise_norm,
    score_norm,
    time_of_share,
)


def distances(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return (images.double() - others.double()).flatten(1).norm(dim=1)


@pytest.mark.parametrize(
    ("num_pixels", "length"),
    [
        (3 * 32 * 32, 57.61),
        (3 * 64 * 64, 113.02),
        (3 * 224 * 224, 390.13),
        (3 * 256 * 256, 445.56),
    ],
)
def test_length_of_noise_at_one_percent_is_the_known_one(
    num_pixels: int, length: float
) -> None:
    assert noise_norm(num_pixels, 0.01) == pytest.approx(length, abs=0.005)


@pytest.mark.parametrize("num_pixels", [1, 10, 3072])
@pytest.mark.parametrize("failure_probability", [0.001, 0.05, 0.5])
def test_noise_is_longer_no_more_often_than_promised(
    num_pixels: int, failure_probability: float
) -> None:
    num = 100_000
    squares = np.random.default_rng(0).chisquare(num_pixels, num)
    longer = (np.sqrt(squares) > noise_norm(num_pixels, failure_probability)).mean()

    slack = 4 * math.sqrt(failure_probability / num)  # four standard errors
    assert longer <= failure_probability + slack


def test_a_length_two_percent_shorter_would_be_passed_too_often() -> None:
    # Or the law above would hold for any huge number.
    squares = np.random.default_rng(0).chisquare(3072, 100_000)
    assert (np.sqrt(squares) > 0.98 * noise_norm(3072, 0.01)).mean() > 0.01


@pytest.mark.parametrize("alpha_bar", [0.999, 0.8, 0.5, 0.01])
def test_time_and_level_are_those_of_the_share_of_variance(alpha_bar: float) -> None:
    time = time_of_share(alpha_bar)
    assert math.exp(-2 * time) == pytest.approx(alpha_bar)
    assert level_at(time) == pytest.approx(math.sqrt((1 - alpha_bar) / alpha_bar))


def test_score_of_gaussian_data_is_that_of_its_density(gaussian_data: Any) -> None:
    data, level = gaussian_data(std=0.7), 0.9
    noisy = (data.clean(5) + level * data.noise(5)).requires_grad_()
    share = 1 / (1 + level**2)
    scaled = math.sqrt(share) * noisy
    variance = share * data.std**2 + 1 - share
    density = -(scaled - math.sqrt(share) * data.mean).square().sum() / variance / 2
    (gradient,) = torch.autograd.grad(density, noisy)
    expected = gradient.flatten(1).norm(dim=1).double() / math.sqrt(share)

    with torch.no_grad():
        found = score_norm(noisy, data.denoiser(noisy, level), level)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("time", [1e-4, 0.1, 0.8, 3.0])
def test_rederived_bound_is_above_the_printed_one_and_near_it_at_little_noise(
    time: float,
) -> None:
    theorem = Theorem1(time, 3072, 0.01, score_bound=7.0)
    distance = torch.tensor([0.0, 2.0], dtype=torch.float64)
    printed, rederived = theorem.as_printed(distance), theorem.rederived(distance)

    more = 7.0 * (math.exp(time) - 1 - time)
    torch.testing.assert_close(rederived - printed, torch.full_like(distance, more))
    assert (rederived > printed).all()
    assert torch.equal(printed - printed[0], distance - distance[0])


def test_bound_is_the_sum_of_its_three_terms() -> None:
    theorem = Theorem1(time_of_share(0.5), 3072, 0.01, score_bound=2.0)
    distance = torch.tensor([10.0], dtype=torch.float64)

    assert float(theorem.as_printed(distance)) == pytest.approx(
        10.0 + 1.0 * 57.61 + 2.0 * math.log(2) / 2, abs=0.01
    )
    assert float(theorem.rederived(distance)) == pytest.approx(
        10.0 + 1.0 * 57.61 + 2.0 * (math.sqrt(2) - 1), abs=0.01
    )


@pytest.mark.parametrize("level", [0.1, 0.5, 2.0])
def test_one_call_moves_a_copy_by_the_hyperbolic_sine_of_its_time(
    gaussian_data: Any, level: float
) -> None:
    data = gaussian_data(std=0.5)
    noisy = data.clean(50) + level * data.noise(50)
    purified = data.denoiser(noisy, level)
    time = time_of_share(1 / (1 + level**2))

    moved = distances(purified, noisy)
    expected = 2 * math.sinh(time) * score_norm(noisy, purified, level)
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-6)
    assert math.sinh(time) <= math.expm1(time)


@pytest.mark.parametrize("level", [0.1, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("std", [0.1, 0.5, 3.0])
def test_one_call_never_breaks_the_rederived_bound(
    gaussian_data: Any, std: float, level: float
) -> None:
    data = gaussian_data(std=std)
    clean = data.clean(200)
    noisy = clean + level * data.noise(200)
    purified = data.denoiser(noisy, level)
    largest = float(score_norm(noisy, purified, level).max())
    time = time_of_share(1 / (1 + level**2))
    theorem = Theorem1(time, data.num_pixels, 0.01, score_bound=2 * largest)

    bound = theorem.rederived(distances(noisy, clean))
    found = distances(purified, clean)
    assert (found <= bound - theorem.noise_term + 1e-5).all()


def reverse_process(
    denoiser: Denoiser, noisy: torch.Tensor, level: float, num_steps: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return where the reverse process ends, and the longest scores: at first, ever.

    Beside an unscaled image, the process from level s to r adds to it what the slope
    says, ``(s^2 - r^2) / s^2 (denoised - image)``, and noise of variance s^2 - r^2.
    """
    generator = torch.Generator().manual_seed(3)
    levels = np.geomspace(level, 0.01 * level, num_steps).tolist()
    image, scores = noisy, []
    for high, low in zip(levels, [*levels[1:], 0.0], strict=True):
        denoised = denoiser(image, high)
        scores.append(score_norm(image, denoised, high))
        share = (high**2 - low**2) / high**2
        noise = torch.randn(image.shape, generator=generator)
        image = image + share * (denoised - image)
        image = image + math.sqrt(high**2 - low**2) * noise
    return image, scores[0], torch.stack(scores).max(dim=0).values


@pytest.mark.parametrize("std", [0.3, 1.0])
def test_reverse_process_of_gaussian_data_ends_within_the_rederived_bound(
    gaussian_data: Any, std: float
) -> None:
    data, level, num = gaussian_data(std=std), 1.0, 1000
    clean = data.clean(num)
    noisy = clean + level * data.noise(num)
    purified, _, largest = reverse_process(data.denoiser, noisy, level, 100)
    # The samples are those of the data: the process was solved well.
    assert purified.std() == pytest.approx(std, rel=0.05)

    theorem = Theorem1(
        time_of_share(0.5), data.num_pixels, 0.05, score_bound=2 * float(largest.max())
    )
    bound = theorem.rederived(distances(noisy, clean))
    assert (distances(purified, clean) > bound).double().mean() <= 0.05


def two_images(apart: float) -> Denoiser:
    """Return the denoiser of data of two images of one pixel, ``apart`` and its minus.

    Source: the mean of two point masses given noise, a hyperbolic tangent.
    """

    def call(noisy: Any, level: Any) -> tuple[Any, None]:
        each = level.view(-1, 1, 1, 1)
        return apart * torch.tanh(apart * noisy / each.square()), None

    return Denoiser(call, 1e3, "two images")


def test_score_estimated_at_the_copies_alone_may_be_too_small() -> None:
    apart, level, num = 12.0, 1.0, 400
    noisy, clean = torch.zeros(num, 1, 1, 1), torch.full((num, 1, 1, 1), apart)
    purified, at_copies, on_the_way = reverse_process(
        two_images(apart), noisy, level, 400
    )
    found, distance = distances(purified, clean), distances(noisy, clean)

    def broken(score: torch.Tensor) -> float:
        theorem = Theorem1(time_of_share(0.5), 1, 0.01, 2 * float(score.max()))
        return float((found > theorem.rederived(distance)).double().mean())

    # Half of the copies end at the other image, farther than a score of 0 allows.
    assert broken(at_copies) == pytest.approx(0.5, abs=0.1)
    assert broken(on_the_way) == 0.0
