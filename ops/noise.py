"""Noise that belongs to a block of votes, never to a worker, a batch or a retry.

A block's identity is hashed to the 128-bit key of Philox4x64-10 (Salmon et al. 2011,
"Parallel random numbers: as easy as 1, 2, 3"). Copy ``i`` of a block reads its own
stretch of that stream, so any part of a block can be made anywhere. The 64-bit words
are the same on every device; normals are made from them by Box and Muller (1958) in
float64, where 53-bit uniforms reach 8.5 standard deviations.
"""

import hashlib
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

Distribution = Literal["gaussian", "uniform", "laplace", "rademacher"]

NoiseKind = Literal["gaussian", "lattice"]
"""Of the certified noise: in floating point, or in whole steps of 8-bit pixels."""

SCHEME = "blake2b-128/philox4x64-10/box-muller-53/1"
"""Name and version of all of this; part of every run's vote identity."""

_WORDS_AT_ONCE = 1 << 22
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_LOW_32 = (1 << 32) - 1
_LOW_53 = (1 << 53) - 1
_BELOW_ONE = 1.0 - 2.0**-53


def noise_key(
    run_seed: int, sigma: float, image_key: str, stream: str, block: int
) -> int:
    """Return the 128-bit key of one block of noise.

    A block that runs twice, on another worker or in another batch, meets the same
    noise; two streams of one image share none.

    Args:
        run_seed: seed of the run.
        sigma: std of the certified noise, in [0, 1] pixels.
        image_key: official name of the image.
        stream: what the noise is for.
        block: index of the block in its stream, from 0.

    Returns:
        An integer in ``[0, 2**128)``.
    """
    label = f"{run_seed}|{float(sigma)!r}|{image_key}|{stream}|{block}".encode()
    return int.from_bytes(hashlib.blake2b(label, digest_size=16).digest(), "little")


def gaussian(
    key: int,
    first: int,
    num: int,
    shape: tuple[int, ...],
    device: torch.device | str = "cpu",
) -> Float32[torch.Tensor, "copy ..."]:
    """Return standard normal noise for some copies of a block.

    Args:
        key: of the block, from :func:`noise_key`.
        first: index of the first copy in its block.
        num: copies wanted.
        shape: of one copy.
        device: where the noise is made and stays.

    Returns:
        ``num`` copies of ``shape``, mean 0 and std 1.
    """
    return draw("gaussian", key, first, num, shape, device)


def draw(  # noqa: PLR0913  the one place that takes a distribution beside gaussian()
    distribution: Distribution,
    key: int,
    first: int,
    num: int,
    shape: tuple[int, ...],
    device: torch.device | str = "cpu",
) -> Float32[torch.Tensor, "copy ..."]:
    """Return noise of mean 0 and std 1 for some copies of a block.

    Args:
        distribution: of each entry, independently.
        key: of the block, from :func:`noise_key`.
        first: index of the first copy in its block.
        num: copies wanted.
        shape: of one copy.
        device: where the noise is made and stays.

    Returns:
        ``num`` copies of ``shape``.
    """
    size = math.prod(shape)
    words_per_copy = 4 * math.ceil(size / 4)
    copies_at_once = max(1, _WORDS_AT_ONCE // words_per_copy)
    transform = _TRANSFORMS[distribution]
    parts = []
    for start in range(first, first + num, copies_at_once):
        stop = min(start + copies_at_once, first + num)
        words = random_words(
            key, start * words_per_copy, (stop - start) * words_per_copy, device
        )
        values = transform(words.view(stop - start, words_per_copy))
        parts.append(values[:, :size].to(torch.float32))
    return torch.cat(parts).view(num, *shape)


def random_words(
    key: int, first: int, num: int, device: torch.device | str = "cpu"
) -> Int64[torch.Tensor, " word"]:
    """Return 64-bit words of a Philox4x64-10 stream, as bit patterns in int64.

    Args:
        key: in ``[0, 2**128)``.
        first: index of the first word, a multiple of 4.
        num: words wanted, a multiple of 4.
        device: where they are made; the CPU's come from NumPy's own generator.

    Returns:
        The same bits on every device.
    """
    if torch.device(device).type == "cpu":
        generator = np.random.Philox(key=key)
        generator.advance(first // 4)
        return torch.from_numpy(generator.random_raw(num).view(np.int64))
    return philox_words(key, first, num, device)


def philox_words(
    key: int, first: int, num: int, device: torch.device | str
) -> Int64[torch.Tensor, " word"]:
    """Compute what :func:`random_words` returns with tensor arithmetic, on any device.

    Source: Salmon et al. 2011, Philox4x64 with 10 rounds; the counter of NumPy's
    ``Philox`` is raised before each use, so word 0 comes from counter 1.
    """
    counter = 1 + first // 4 + torch.arange(num // 4, device=device)
    zero = torch.zeros_like(counter)
    words = (counter, zero, zero, zero)
    keys = (key & ((1 << 64) - 1), key >> 64)
    for _ in range(10):
        high_0, low_0 = _multiply_64(words[0], _MULTIPLIERS[0])
        high_1, low_1 = _multiply_64(words[2], _MULTIPLIERS[1])
        words = (
            high_1 ^ words[1] ^ _signed_64(keys[0]),
            low_1,
            high_0 ^ words[3] ^ _signed_64(keys[1]),
            low_0,
        )
        keys = tuple(k + weyl for k, weyl in zip(keys, _WEYL, strict=True))
    return torch.stack(words, dim=1).flatten()


def _multiply_64(
    word: Int64[torch.Tensor, " word"], factor: int
) -> tuple[Int64[torch.Tensor, " word"], Int64[torch.Tensor, " word"]]:
    """Return the high and low half of an unsigned 64 x 64 bit product."""
    word_high, word_low = _shift_right_32(word), word & _LOW_32
    factor_high, factor_low = factor >> 32, factor & _LOW_32
    cross_a, cross_b = word_low * factor_high, word_high * factor_low
    middle = (
        _shift_right_32(word_low * factor_low)
        + (cross_a & _LOW_32)
        + (cross_b & _LOW_32)
    )
    high = (
        word_high * factor_high
        + _shift_right_32(cross_a)
        + _shift_right_32(cross_b)
        + _shift_right_32(middle)
    )
    return high, word * _signed_64(factor)


def _shift_right_32(word: Int64[torch.Tensor, " word"]) -> torch.Tensor:
    return (word >> 32) & _LOW_32


def _signed_64(number: int) -> int:
    """Return the signed reading of a number's low 64 bits."""
    low = number & ((1 << 64) - 1)
    return low - (1 << 64) if low >> 63 else low


def _uniform_53(
    words: Int64[torch.Tensor, "copy word"],
) -> Float64[torch.Tensor, "copy word"]:
    """Return uniforms in (0, 1): midpoints of 2**53 cells, in float64.

    The midpoint of the last cell would round to 1, whose Laplace quantile is infinite.
    """
    midpoint = (((words >> 11) & _LOW_53).double() + 0.5) * 2.0**-53
    return midpoint.clamp_(max=_BELOW_ONE)


def _to_gaussian(
    words: Int64[torch.Tensor, "copy word"],
) -> Float64[torch.Tensor, "copy word"]:
    first, second = _uniform_53(words).chunk(2, dim=1)
    length = first.log_().mul_(-2.0).sqrt_()
    angle = second.mul_(2.0 * math.pi)
    return torch.cat([length * angle.cos(), length * angle.sin()], dim=1)


def _to_uniform(
    words: Int64[torch.Tensor, "copy word"],
) -> Float64[torch.Tensor, "copy word"]:
    return (_uniform_53(words) - 0.5) * math.sqrt(12.0)


def _to_laplace(
    words: Int64[torch.Tensor, "copy word"],
) -> Float64[torch.Tensor, "copy word"]:
    centred = _uniform_53(words) - 0.5
    return -centred.sign() * torch.log1p(-2.0 * centred.abs()) / math.sqrt(2.0)


def _to_rademacher(
    words: Int64[torch.Tensor, "copy word"],
) -> Float64[torch.Tensor, "copy word"]:
    return 1.0 - 2.0 * ((words >> 63) & 1).double()


_TRANSFORMS: dict[Distribution, Callable[[torch.Tensor], torch.Tensor]] = {
    "gaussian": _to_gaussian,
    "uniform": _to_uniform,
    "laplace": _to_laplace,
    "rademacher": _to_rademacher,
}
