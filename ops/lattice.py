"""Integer noise for 8-bit images: what certifies them also in floating point.

Gaussian noise that is drawn, added and rounded in floating point is not Gaussian, and a
certificate that supposes it is may be wrong (Voracek and Hein 2022, arXiv:2207.07209).
The base classifier ``v -> f(round(255 v) / 255)`` reads whole steps of 1/255 only. At
an image on that lattice, ``x + noise`` rounds to ``x + k / 255`` with integers ``k`` of
a known law, which are drawn from integers and added as integers.
"""

from functools import lru_cache

import mpmath
import numpy as np
import torch
from jaxtyping import Float32, Int64

from ops.noise import random_words

STEPS = 255
"""Steps of an 8-bit pixel."""

SCHEME = "blake2b-128/philox4x64-10/lattice-60/1"
"""Name and version of all of this; part of every run's vote identity."""

_BITS = 60
_GUIDE_BITS = 14
_WORDS_AT_ONCE = 1 << 22
_OFF = 1e-3


def lattice(
    key: int,
    num: int,
    shape: tuple[int, ...],
    sigma: float,
    device: torch.device | str = "cpu",
) -> Int64[torch.Tensor, "copy ..."]:
    """Return Gaussian noise rounded to whole steps of 1/255, for a block's copies.

    Args:
        key: of the block, from :func:`ops.noise.noise_key`.
        num: copies wanted.
        shape: of one copy.
        sigma: std of the noise before rounding, in [0, 1] pixels, above 0.
        device: where the noise is made and stays.

    Returns:
        Integers ``k`` with probability ``Phi((k + 1/2) / s) - Phi((k - 1/2) / s)``
        for ``s = 255 sigma``, each to within ``2**-60``, independent of each other.

    Source:
        Voracek and Hein 2022, arXiv:2207.07209, section 5.
    """
    size = int(np.prod(shape))
    words_per_copy = 4 * -(-size // 4)
    copies_at_once = max(1, _WORDS_AT_ONCE // words_per_copy)
    thresholds, guide, lowest = _tables(sigma, str(device))
    parts = []
    for start in range(0, num, copies_at_once):
        stop = min(start + copies_at_once, num)
        words = random_words(
            key, start * words_per_copy, (stop - start) * words_per_copy, device
        )
        uniform = (words >> (64 - _BITS)) & ((1 << _BITS) - 1)
        place = _places(uniform, thresholds, guide)
        parts.append((place + lowest).view(stop - start, words_per_copy)[:, :size])
    return torch.cat(parts).view(num, *shape)


def on_lattice(
    image: Float32[torch.Tensor, "channel height width"], asked_by: str
) -> Int64[torch.Tensor, "channel height width"]:
    """Return the 8-bit values of an image in [0, 1].

    Args:
        image: pixels.
        asked_by: key of the image, for the error.

    Raises:
        ValueError: a pixel is no whole step of 1/255.
    """
    steps = image * STEPS
    whole = steps.round()
    off = (steps - whole).abs().max()
    if off > _OFF:
        raise ValueError(
            f"noise: lattice needs 8-bit pixels, whole steps of 1/255; image "
            f"{asked_by!r} has one that is {float(off):.3g} steps off. Take noise: "
            f"gaussian, or images and a preprocessing that give 8-bit pixels."
        )
    return whole.to(torch.int64)


def thresholds_of(sigma: float) -> tuple[Int64[np.ndarray, " step"], int]:
    """Return where a 60-bit uniform passes from one integer to the next.

    Args:
        sigma: std of the noise, in [0, 1] pixels.

    Returns:
        ``t`` and ``lowest``: a uniform ``u`` gives ``lowest`` plus the number of
        thresholds ``t <= u``. Both halves are mirror images, so the law is symmetric.
    """
    half = int(np.ceil(9.5 * STEPS * sigma)) + 1
    with mpmath.workprec(3 * _BITS):  # a double has 53 bits
        scale = mpmath.mpf(STEPS) * mpmath.mpf(sigma)
        edges = (mpmath.mpf(2 * k + 1) / 2 for k in range(-half, 0))
        chances = (mpmath.ncdf(edge / scale) for edge in edges)
        rounded = [int(mpmath.nint(mpmath.ldexp(p, _BITS))) for p in chances]
    lower = np.array(rounded, np.int64)  # the upper half mirrors the lower one
    return np.concatenate([lower, (1 << _BITS) - lower[::-1]]), -half


@lru_cache(maxsize=32)
def _tables(sigma: float, device: str) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return the thresholds, and how many of them lie below each cell of a guide."""
    thresholds, lowest = thresholds_of(sigma)
    cells = np.arange(1 << _GUIDE_BITS, dtype=np.int64) << (_BITS - _GUIDE_BITS)
    guide = np.searchsorted(thresholds, cells, side="right")
    never = np.array([1 << _BITS], np.int64)
    ends = torch.from_numpy(np.concatenate([thresholds, never]))
    return ends.to(device), torch.from_numpy(guide).to(device), lowest


def _places(
    uniform: torch.Tensor, thresholds: torch.Tensor, guide: torch.Tensor
) -> Int64[torch.Tensor, " word"]:
    """Return how many thresholds each uniform has passed.

    A guide tells how many lie below the uniform's cell; most cells hold one at most,
    and the few uniforms that are further on are looked up in all of them.
    """
    place = guide[uniform >> (_BITS - _GUIDE_BITS)]
    place += uniform >= thresholds[place]
    behind = (uniform >= thresholds[place]).nonzero().squeeze(1)
    place[behind] = torch.searchsorted(thresholds, uniform[behind], right=True)
    return place
