"""The law of the failures among draws, followed exactly from look to look."""

import math

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import gammaln, xlog1py, xlogy

_WIDTH = 12.0
_NEGLIGIBLE = 1e-25


def after(
    law: Float64[np.ndarray, " count"], lowest: int, draws: int, rate: float, most: int
) -> tuple[Float64[np.ndarray, " more"], int]:
    """Return the law of the failures after some more draws.

    Direct convolution: masses of 1e-12 matter where the level is 1e-8.

    Args:
        law: chances of the counts from ``lowest`` on; what was certified is missing.
        lowest: its first count.
        draws: more of them.
        rate: failure rate, in ``(0, 1)``.
        most: counts above are left out, as they certify nothing, now or later.

    Returns:
        The law, without its negligible lower tail, and its first count.
    """
    step, first = _binomial(draws, rate)
    law, lowest = np.convolve(law, step), lowest + first
    law = law[: max(0, most + 1 - lowest)]
    tail = int(np.searchsorted(np.cumsum(law), _NEGLIGIBLE, "right"))
    return law[tail:], lowest + tail


def crossing_probability(
    failure_rate: float,
    looks: Int64[np.ndarray, " look"],
    most_failures: Int64[np.ndarray, " look"],
) -> float:
    """Return the exact chance of being certified at one of the looks.

    Args:
        failure_rate: of every draw, in ``(0, 1)``.
        looks: numbers of draws at which one looks, ascending.
        most_failures: with which one is certified, never falling; below 0 for never.
    """
    law, lowest, before, crossed = np.ones(1), 0, 0, 0.0
    for draws, most in zip(looks.tolist(), most_failures.tolist(), strict=True):
        if not len(law):
            break
        law, lowest = after(
            law, lowest, draws - before, failure_rate, int(most_failures[-1])
        )
        inside = max(0, most + 1 - lowest)
        crossed += float(law[:inside].sum())
        law, lowest, before = law[inside:], lowest + inside, draws
    return crossed


def _binomial(draws: int, rate: float) -> tuple[np.ndarray, int]:
    """Return the chances of the counts that matter, and the first of these counts."""
    reach = _WIDTH * math.sqrt(draws * rate * (1.0 - rate)) + _WIDTH
    first = max(0, math.floor(draws * rate - reach))
    counts = np.arange(first, min(draws, math.ceil(draws * rate + reach)) + 1)
    chances = gammaln(draws + 1) - gammaln(counts + 1) - gammaln(draws - counts + 1)
    logs = chances + xlogy(counts, rate) + xlog1py(draws - counts, -rate)
    return np.exp(logs), first
