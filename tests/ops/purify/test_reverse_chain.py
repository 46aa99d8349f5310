"""The chain of normal data is linear, so its mean and variance are known exactly."""

import math
from itertools import pairwise
from typing import Any, Literal

import pytest
import torch
from gaussian_here import (
    MEAN,
    STD,
    WORKER,
    draw_for,
    gaussian_denoiser,
    knowing,
    noisy_copies,
    watched,
)
from scipy.stats import binom, norm

from ops.purify.denoiser import Denoiser
from ops.purify.reverse_chain import ReverseChain
from ops.schedules import Schedule, sigma_signed_of, timestep_of
from ops.vote.majority import majority

LINEAR = Schedule(kind="linear", num_timesteps=1000, beta_start=1e-4, beta_end=0.02)
LEVELS = sigma_signed_of(LINEAR.alpha_bar())
STEPS = [1, 2, 5, 10, "all"]
Steps = int | Literal["all"]
Images = torch.Tensor


def chain(
    steps: Steps, samples: int = 1, *, std: float = STD, **fields: Any
) -> ReverseChain:
    """Return a chain that knows normal data perfectly."""
    denoiser = gaussian_denoiser(std=std)
    fixed = {"schedule": LINEAR, "clip": False, **fields}
    return knowing(ReverseChain, denoiser, steps=steps, samples=samples, **fixed)


def no_noise(stream: str) -> Images:
    return torch.zeros(6, 1, 4, 4)


def spread_by_step(purifier: ReverseChain, sigma: float) -> Images:
    """Return how far unit noise of each step alone moves the end, on [-1, 1]."""
    num = 260
    noisy = torch.full((num, 1, 1, 1), 0.5)

    def draw(stream: str) -> Images:
        noise = torch.zeros(num, 1, 1, 1)
        noise[int(stream.removeprefix("vote0/step"))] = 1.0
        return noise

    ends = 2 * purifier.open_with_noise(WORKER, sigma)(noisy, draw).flatten()
    return ends - ends[-1]


def recursion(timesteps: list[int], std: float) -> float:
    """Return the variance of the chain's end for normal data of a std, step by step.

    A step's end has a mean linear in its start and in the clean image seen from it,
    which is itself linear in the start; its noise is what is left of the variance.
    """
    shares = [*(float(LINEAR.alpha_bar()[t]) for t in timesteps), 1.0]
    variance = 0.0
    for before, after in pairwise(shares):
        clean = math.sqrt(before) * std**2 / (before * std**2 + 1 - before)
        kept = math.sqrt(before / after) * (1 - after) / (1 - before)
        slope = math.sqrt(after) * clean + kept * (1 - math.sqrt(before) * clean)
        drawn = (1 - after) - kept**2 * (1 - before)
        variance = slope**2 * variance + drawn
    return variance


@pytest.mark.parametrize("steps", STEPS)
def test_the_mean_of_samples_is_the_posterior_mean_for_any_steps(steps: Steps) -> None:
    noisy, level = noisy_copies(), LEVELS[258]
    purify = chain(steps).open_with_noise(WORKER, level / 2)

    signed = (STD**2 * (2 * noisy - 1) + level**2 * MEAN) / (STD**2 + level**2)
    means = purify(noisy, no_noise)
    torch.testing.assert_close(means, (signed.float() + 1) / 2, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("steps", "timesteps", "golden"),
    [
        (1, [258], 0.0),
        (2, [258, 129, 0], 0.0496),
        (5, [258, 206, 155, 103, 52, 0], 0.1041),
        (10, [258, 232, 206, 181, 155, 129, 103, 77, 52, 26, 0], 0.1380),
        ("all", list(range(258, -1, -1)), 0.1961),
    ],
)
def test_the_variance_of_samples_rises_to_the_posterior_variance(
    steps: Steps, timesteps: list[int], golden: float
) -> None:
    """Golden: std 0.5 at level 1, computed apart; the posterior's variance is 0.2."""
    moved = spread_by_step(chain(steps, std=0.5), 0.5)
    variance = moved.square().sum().item()

    assert variance == pytest.approx(recursion(timesteps, 0.5), rel=1e-4)
    assert variance == pytest.approx(golden, abs=5e-5)


def test_the_last_step_draws_no_noise_and_any_other_does() -> None:
    moved = spread_by_step(chain(5), 0.5)
    asked: list[str] = []

    def draw(stream: str) -> Images:
        asked.append(stream)
        return no_noise(stream)

    chain(5, samples=2).open_with_noise(WORKER, 0.5)(noisy_copies(), draw)

    assert (moved[:5] != 0).all()
    assert (moved[5:] == 0).all()
    assert asked == [f"vote{vote}/step{i}" for vote in range(2) for i in range(5)]


def test_large_variances_move_samples_further() -> None:
    small = spread_by_step(chain(5), 0.5)
    large = spread_by_step(chain(5, variance="fixed_large"), 0.5)

    steps = LINEAR.alpha_bar()[[258, 206, 155, 103, 52, 0]]
    ratio = (1 - steps[:-1]) / (1 - steps[1:])
    squared = (large[:5] / small[:5]).square()
    assert squared.tolist() == pytest.approx(ratio.tolist(), rel=1e-3)


def test_samples_of_a_copy_are_independent_of_each_other() -> None:
    noisy = torch.full((4000, 1, 1, 1), 0.6)
    purify = chain(4, samples=3).open_with_noise(WORKER, 0.5)

    samples = purify(noisy, draw_for(noisy)).view(4000, 3)
    correlation = torch.corrcoef(samples.T) - torch.eye(3)
    assert correlation.abs().max() < 4 / math.sqrt(4000)  # four standard errors


def test_more_votes_leave_the_earlier_ones_as_they_are() -> None:
    noisy = noisy_copies()
    three, five = (
        chain(4, samples=num).open_with_noise(WORKER, 0.5)(noisy, draw_for(noisy))
        for num in (3, 5)
    )

    three, five = three.unflatten(0, (6, 3)), five.unflatten(0, (6, 5))
    assert torch.equal(five[:, :3], three)


def test_samples_of_a_copy_stand_together() -> None:
    noisy = noisy_copies()
    purify = chain(4, samples=3).open_with_noise(WORKER, 0.5)

    alone = [
        purify(noisy[i : i + 1], lambda s, i=i: draw_for(noisy)(s)[i : i + 1])
        for i in range(6)
    ]
    together = purify(noisy, draw_for(noisy))
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=0)


@pytest.mark.parametrize("num", [1, 5])
def test_a_linear_classifiers_vote_is_the_majority_of_a_binomial(num: int) -> None:
    """A score ``w x - c`` of a sample is normal, so a sample is right with a known
    probability, and of ``num`` independent ones most are, with that of a binomial."""
    copies, weight = 20_000, torch.linspace(-1, 1, 16)
    copy = noisy_copies(1)
    noisy = copy.expand(copies, -1, -1, -1)
    purifier = chain(3, samples=num)
    purify = purifier.open_with_noise(WORKER, 0.5)

    mean = purify(copy, lambda stream: torch.zeros_like(copy))[:1].flatten() @ weight
    variance = spread_by_step(chain(3), 0.5).square().sum() / 4  # on [0, 1]
    std = variance.sqrt() * weight.norm()
    threshold = mean - 0.3 * std
    score = purify(noisy, draw_for(noisy)).flatten(1) @ weight - threshold
    vote = majority((score > 0).long().view(copies, num))

    expected = binom.sf(num // 2, num, norm.cdf(0.3))
    error = math.sqrt(expected * (1 - expected) / copies)
    assert vote.double().mean().item() == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("sigma", [0.25, 0.5])
def test_as_many_calls_are_made_as_are_told(steps: Steps, sigma: float) -> None:
    told: list[float] = []
    denoiser = watched(gaussian_denoiser(), told)
    samples = 1 if steps == 1 else 3
    purifier = knowing(
        ReverseChain, denoiser, steps=steps, samples=samples, schedule=LINEAR
    )
    noisy = noisy_copies()
    purify = purifier.open_with_noise(WORKER, sigma)
    assert len(purify(noisy, draw_for(noisy))) == 6 * purifier.samples_per_copy

    assert purifier.calls_at(sigma) == len(told)
    timestep = timestep_of(LINEAR, sigma, "nearest")
    assert told[0] == pytest.approx(LEVELS[timestep])
    assert told[-1] == pytest.approx(LEVELS[0 if steps != 1 else timestep])


def test_every_step_sees_pixels_unless_asked_otherwise() -> None:
    def far(clip: bool) -> Images:
        denoiser = Denoiser(lambda noisy, level: (3 + 0 * noisy, None), 80.0, "far")
        purifier = knowing(
            ReverseChain, denoiser, steps=3, samples=1, schedule=LINEAR, clip=clip
        )
        return purifier.open_with_noise(WORKER, 0.5)(noisy_copies(), no_noise)

    assert (far(clip=True) == 1).all()
    assert (far(clip=False) == 2).all()
    seen: list[Images] = []

    def spy(noisy: Images, level: Images) -> tuple[Images, None]:
        seen.append(noisy)
        return 3 + 0 * noisy, None

    purifier = knowing(
        ReverseChain, Denoiser(spy, 80.0, "spy"), steps=2, samples=1, schedule=LINEAR
    )
    purifier.open_with_noise(WORKER, 0.5)(torch.full((6, 1, 4, 4), 1.0), no_noise)
    # White stays white: the image never moves past the pixels that steps see.
    assert max(image.max().item() for image in seen) < 1 + 1e-3


def test_more_steps_than_the_schedule_of_the_recipe_has_are_refused_unopened() -> None:
    purifier = ReverseChain.model_validate(
        {"weights": {"untrained": 0}, "steps": 5000, "samples": 5}
    )

    assert purifier.calls_at(0.5) == 5 * 5001  # the weights may have as many
    told = purifier.model_copy(update={"schedule": LINEAR})
    with pytest.raises(ValueError, match="steps is 5000, the noise is that of timest"):
        told.calls_at(0.5)
