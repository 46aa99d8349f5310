import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from theory_made import DDPM, EDM, sample_of

from ops.noise import gaussian, noise_key
from ops.pixels import to_signed
from ops.theory.diffusion_network import open_network
from ops.theory.theorem1 import score_norm
from pipelines.recipe import Run
from pipelines.sample import Sample
from pipelines.theory_measure import STREAM, measure
from pipelines.theory_row import theory_row
from pipelines.worker import WorkerSettings

Settings = Callable[[Run], WorkerSettings]
Runs = Callable[..., Run]


def test_copies_are_noise_of_twice_sigma_away_on_the_signed_range(
    run_of: Runs, settings_of: Settings
) -> None:
    run = run_of(DDPM)
    found = measure(run, sample_of(run), settings_of(run), 40, run.classifier)

    length = 2 * run.sigma * math.sqrt(64)
    assert found.noisy.shape == (3, 40)
    assert found.noisy.mean() == pytest.approx(length, rel=0.05)
    assert found.purified.shape == (3, 40, 1)
    assert found.num_pixels == 64


def test_noise_is_not_that_of_any_vote_and_the_same_every_time(
    run_of: Runs, settings_of: Settings
) -> None:
    run = run_of(DDPM)
    sample = sample_of(run)
    first, again, more = (
        measure(run, sample, settings_of(run), copies, run.classifier)
        for copies in (4, 4, 9)
    )
    assert np.array_equal(first.noisy, again.noisy)
    assert np.array_equal(first.noisy, more.noisy[:, :4])
    for stream in ("clean", "select", "estimate", "predict", "pilot", "doctor"):
        key = noise_key(run.seed, run.sigma, sample.keys[0], stream, 0)
        noise = gaussian(key, 0, 4, (1, 8, 8)).double().flatten(1)
        lengths = 2 * run.sigma * noise.norm(dim=1).numpy()
        assert not np.isclose(lengths, first.noisy[0], rtol=1e-4).any()


@torch.no_grad()
def test_longest_score_is_of_the_copies_and_of_nothing_that_fills_a_call(
    run_of: Runs, settings_of: Settings
) -> None:
    run = run_of(EDM)
    # A call is filled with black, which is farther from what is returned than grey.
    grey = np.full((1, 8, 8), 0.5, dtype=np.float32)
    sample = Sample(("a", "b"), (0, 0), (grey, grey))
    found = measure(run, sample, settings_of(run), 3, run.classifier)
    assert found.network is not None

    denoiser = open_network(run.purifier, settings_of(run).open(), run.sigma).denoiser
    longest = 0.0
    for key, image in zip(sample.keys, sample.images, strict=True):
        noise = gaussian(noise_key(0, run.sigma, key, STREAM, 0), 0, 3, (1, 8, 8))
        noisy = to_signed(torch.tensor(image) + run.sigma * noise)
        scores = score_norm(noisy, denoiser(noisy, 0.5), 0.5)
        longest = max(longest, float(scores.max()))
    assert found.network.largest_score == pytest.approx(longest, rel=1e-4)
    row = theory_row("a", run, found, failure_probability=0.01, certified=None)
    assert row.diffusion is not None
    assert row.diffusion.score_bound == 2 * found.network.largest_score


def test_a_row_is_made_of_arrays_that_may_not_be_written(
    run_of: Runs, settings_of: Settings
) -> None:
    run = run_of(DDPM)
    found = measure(run, sample_of(run), settings_of(run), 2, run.classifier)
    found.noisy.flags.writeable = False  # as Ray hands them over

    row = theory_row("a", run, found, failure_probability=0.01, certified=None)
    assert row.noisy_median == float(np.median(found.noisy)) / 2
