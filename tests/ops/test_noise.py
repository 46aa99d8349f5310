import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ops.noise import (
    SCHEME,
    Distribution,
    _to_gaussian,
    _to_laplace,
    _to_uniform,
    draw,
    gaussian,
    noise_key,
    philox_words,
    random_words,
)

KEY = noise_key(7, 0.25, "digits_0003", "estimate", 2)
EDGE_KEYS = [0, 1, 1 << 63, (1 << 64) - 1, 1 << 64, 1 << 127, (1 << 128) - 1, KEY]
DISTRIBUTIONS: list[Distribution] = ["gaussian", "uniform", "laplace", "rademacher"]


@pytest.mark.parametrize("key", EDGE_KEYS)
@pytest.mark.parametrize("first", [0, 4, 4 * 12_345, 4 * ((1 << 40) + 1)])
def test_words_on_any_device_are_those_of_numpys_philox(key: int, first: int) -> None:
    generator = np.random.Philox(key=key)
    generator.advance(first // 4)
    expected = generator.random_raw(1_000).view(np.int64)

    assert np.array_equal(philox_words(key, first, 1_000, "cpu").numpy(), expected)
    assert np.array_equal(random_words(key, first, 1_000, "cpu").numpy(), expected)


def test_words_are_numpys_philox_for_two_hundred_random_keys() -> None:
    generator = np.random.default_rng(0)
    for key in (int.from_bytes(generator.bytes(16), "little") for _ in range(200)):
        expected = np.random.Philox(key=key).random_raw(64).view(np.int64)
        assert np.array_equal(philox_words(key, 0, 64, "cpu").numpy(), expected)


def test_key_is_the_blake2b_digest_of_the_identity() -> None:
    """By ``printf '%s' '7|0.25|digits_0003|estimate|2' | b2sum -l 128``."""
    digest = bytes.fromhex("11b50603b207b606a35ecbef07dc5c43")
    assert int.from_bytes(digest, "little") == KEY


def test_noise_of_one_key_is_what_this_scheme_always_gave() -> None:
    """Box-Muller by Python's ``math`` on NumPy's words of the same key.

    Votes drawn by two schemes must not be joined: if these values have to change, so
    has the version in SCHEME.
    """
    assert SCHEME == "blake2b-128/philox4x64-10/box-muller-53/1"
    first = [-0.1065560879, 0.1825609878, -0.3957744033]
    first += [0.9364915535, 0.0328575164, -0.1052659913]
    second = [1.3015669703, 0.3845790232, 0.4879042968]
    second += [-1.2309441924, 1.2361801831, -0.8354243501]
    expected = torch.tensor([first, second]).view(2, 2, 3)
    assert_close(gaussian(KEY, 0, 2, (2, 3)), expected, atol=2e-7, rtol=0)


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        ("uniform", [1.7105816603, 1.6559790373, -0.5801910162]),
        ("laplace", [3.1045114994, 2.2099809647, -0.2884488702]),
        ("rademacher", [-1.0, -1.0, 1.0]),
    ],
)
def test_local_noise_of_one_key_is_what_this_scheme_always_gave(
    distribution: Distribution, expected: list[float]
) -> None:
    noise = draw(distribution, KEY, 0, 1, (3,))
    assert_close(noise, torch.tensor([expected]), atol=2e-7, rtol=0)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5), (7,)])
def test_part_of_a_block_is_that_part_of_the_whole(
    distribution: Distribution, shape: tuple[int, ...]
) -> None:
    whole = draw(distribution, KEY, 0, 20, shape)
    parts = [
        draw(distribution, KEY, *part, shape) for part in ((0, 3), (3, 1), (4, 16))
    ]
    assert whole.shape == (20, *shape)
    assert whole.dtype == torch.float32
    assert torch.equal(torch.cat(parts), whole)


def test_block_too_large_to_be_made_at_once_is_made_of_the_same_copies() -> None:
    shape = (3, 512, 1024)  # a copy has 1.5 million words, two fit into one piece
    whole = gaussian(KEY, 0, 3, shape)
    assert torch.equal(whole[2:], gaussian(KEY, 2, 1, shape))
    assert not torch.equal(whole[0], whole[2])


@pytest.mark.parametrize(
    "other",
    [
        (8, 0.25, "digits_0003", "estimate", 2),
        (7, 0.5, "digits_0003", "estimate", 2),
        (7, 0.25, "digits_0004", "estimate", 2),
        (7, 0.25, "digits_0003", "select", 2),
        (7, 0.25, "digits_0003", "estimate", 3),
    ],
    ids=["seed", "sigma", "image", "stream", "block"],
)
def test_another_identity_gives_other_noise(
    other: tuple[int, float, str, str, int],
) -> None:
    one, two = gaussian(KEY, 0, 2, (64,)), gaussian(noise_key(*other), 0, 2, (64,))
    assert (one != two).all()
    assert (one[0] != one[1]).all()


def test_seeds_that_agree_in_their_low_32_bits_give_other_noise() -> None:
    keys = {
        noise_key(seed, 0.25, "a", "select", 0) for seed in (1, 1 + 2**32, 1 + 2**64)
    }
    assert len(keys) == 3


@pytest.mark.parametrize("deviation", [5.77, 6.0, 6.66, 7.0, 8.0])
def test_normals_reach_as_far_out_as_64_bit_words_can_say(deviation: float) -> None:
    """A uniform of ``exp(-z^2 / 2)`` has length ``z``; 32 bits would end at 6.66."""
    word = int(2.0**64 * math.exp(-(deviation**2) / 2))
    words = torch.tensor([[word, 0]])
    assert _to_gaussian(words)[0, 0].item() == pytest.approx(deviation, abs=1e-3)


def test_smallest_word_is_beyond_8_and_every_word_is_finite() -> None:
    words = torch.tensor([[0, 0], [-1, -1], [-1, 0], [0, -1], [1 << 62, -(1 << 63)]])
    assert _to_gaussian(words).isfinite().all()
    assert 8.5 < _to_gaussian(words).max() < 9
    assert _to_laplace(words).isfinite().all()
    assert 20 < _to_laplace(words).abs().max() < 30
    assert _to_uniform(words).abs().max() <= math.sqrt(3)
