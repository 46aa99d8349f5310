"""Noise is what the certificate assumes: normal, and independent wherever it counts."""

import math

import numpy as np
import pytest
from scipy.stats import kstest

from ops.noise import Distribution, draw, gaussian, noise_key

SHAPE = (3, 32, 32)
SIZE = 100 * math.prod(SHAPE)
"""Values in one block."""


def block(
    image_key: str = "image_0", stream: str = "select", index: int = 0
) -> np.ndarray:
    key = noise_key(42, 0.25, image_key, stream, index)
    return gaussian(key, 0, 100, SHAPE).double().flatten().numpy()


BLOCKS = {
    "first": block(),
    "next": block(index=1),
    "estimate": block(stream="estimate"),
    "other image": block(image_key="image_1"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_block_of_noise_has_the_moments_of_a_normal(name: str) -> None:
    """Each within four standard errors: ``sqrt(k / n)`` for k = 1, 2, 6, 24 at n."""
    noise = BLOCKS[name]
    error = 1 / math.sqrt(SIZE)
    assert abs(noise.mean()) < 4 * error
    assert abs(noise.var() - 1) < 4 * math.sqrt(2) * error
    assert abs((noise**3).mean()) < 4 * math.sqrt(15) * error
    scaled = (noise - noise.mean()) / noise.std()
    assert abs((scaled**3).mean()) < 4 * math.sqrt(6) * error
    assert abs((scaled**4).mean() - 3) < 4 * math.sqrt(24) * error


@pytest.mark.parametrize("name", BLOCKS)
def test_block_of_noise_passes_kolmogorov_and_smirnov(name: str) -> None:
    assert kstest(BLOCKS[name], "norm").pvalue > 1e-4


def test_tail_beyond_four_has_as_many_values_as_a_normal() -> None:
    beyond = sum((abs(noise) > 4).sum() for noise in BLOCKS.values())
    expected = len(BLOCKS) * SIZE * math.erfc(4 / math.sqrt(2))
    assert abs(beyond - expected) < 4 * math.sqrt(expected)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("other", ["next", "estimate", "other image"])
def test_blocks_and_streams_and_images_are_uncorrelated(other: str, power: int) -> None:
    pair = BLOCKS["first"] ** power, BLOCKS[other] ** power
    assert abs(np.corrcoef(*pair)[0, 1]) < 4 / math.sqrt(SIZE)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("apart", [1, 2, math.prod(SHAPE) // 2, math.prod(SHAPE)])
def test_pixels_and_copies_of_a_block_are_uncorrelated(apart: int, power: int) -> None:
    """Half a copy apart lie the two normals that one pair of uniforms makes."""
    noise = BLOCKS["first"] ** power
    correlation = np.corrcoef(noise[:-apart], noise[apart:])[0, 1]
    assert abs(correlation) < 4 / math.sqrt(SIZE - apart)


def test_a_hundred_images_share_no_noise() -> None:
    """Of all pairs of images the largest correlation is a normal's five, not more."""
    keys = [noise_key(42, 0.25, f"image_{index}", "select", 0) for index in range(100)]
    noise = np.stack([gaussian(key, 0, 4, SHAPE).flatten().numpy() for key in keys])
    pairs = np.corrcoef(noise)[np.triu_indices(100, 1)]
    # One of 4,950 normals passes 5.5 standard errors with chance 2e-4.
    assert abs(pairs).max() < 5.5 / math.sqrt(noise.shape[1])


def test_a_hundred_thousand_identities_have_as_many_keys() -> None:
    """Names that differ in length or hold separators are told apart as well."""
    keys = {
        noise_key(seed, sigma, image, stream, index)
        for seed in (0, 1)
        for sigma in (0.25, 0.5)
        for image in [f"image_{number}" for number in range(125)]
        + ["", "|", "1|2", "1"]
        for stream in ("select", "estimate")
        for index in range(100)
    }
    assert len(keys) == 2 * 2 * 129 * 2 * 100
    ones = sum(key.bit_count() for key in keys) / (128 * len(keys))
    assert abs(ones - 0.5) < 4 * 0.5 / math.sqrt(128 * len(keys))
    assert max(keys) < 2**128


@pytest.mark.parametrize(
    ("distribution", "kurtosis", "eighth_moment"),
    [
        ("gaussian", 3.0, 105.0),
        ("uniform", 1.8, 9.0),
        ("laplace", 6.0, 2520.0),
        ("rademacher", 1.0, 1.0),
    ],
)
def test_every_distribution_has_std_1_and_its_own_kurtosis(
    distribution: Distribution, kurtosis: float, eighth_moment: float
) -> None:
    key = noise_key(1, 0.0, "", "local", 0)
    noise = draw(distribution, key, 0, 100, SHAPE).double()
    # Standard errors of a mean of squares and of fourth powers; float32 rounds 1e-7.
    variance_slack = 4 * math.sqrt((kurtosis - 1) / SIZE) + 1e-6
    kurtosis_slack = 4 * math.sqrt((eighth_moment - kurtosis**2) / SIZE) + 1e-6
    assert abs(noise.mean().item()) < 4 / math.sqrt(SIZE)
    assert noise.square().mean().item() == pytest.approx(1, abs=variance_slack)
    assert noise.pow(4).mean().item() == pytest.approx(kurtosis, abs=kurtosis_slack)
    assert (noise.abs().diff().abs() < 1e-6).all() == (distribution == "rademacher")
