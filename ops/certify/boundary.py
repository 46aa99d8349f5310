"""How few failures certify at which look: exact bounds for votes looked at often."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import bdtr, betaincinv

from ops.certify.failure_law import after

NONE = -1
"""Stands for no number of failures: at that look nothing is decided."""

_SHARE_BEFORE_THE_LAST = 0.7
_EXPONENT = 0.25
_WIDTH = 12.0
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Boundary:
    """Failures with which one radius is certified, look by look."""

    most_failures: Int64[np.ndarray, " look"]
    """Largest count of failures that certifies; ``NONE`` where none does."""

    crossing_probability: float
    """Chance that an image at the threshold is certified at any of the looks."""


def boundary(
    failure_rate: float, looks: Int64[np.ndarray, " look"], *, level: float
) -> Boundary:
    """Return the failures that certify, spending a chance of error over the looks.

    The number of failures at the looks is followed exactly, by dynamic programming, for
    an image whose failure rate is the largest that must not be certified. At each look
    the boundary takes in as many failures as the chance spent so far leaves room for. A
    larger failure rate crosses more rarely: coupled draws have more failures.

    It holds at every look together, for draws that are independent given the image, and
    only for these looks: one that is skipped does no harm, one that is added does.

    Args:
        failure_rate: of the threshold, ``Phi(-radius / sigma)``, in ``(0, 1/2]``.
        looks: numbers of draws at which one looks, ascending, the last being all.
        level: chance of a false certificate, in ``(0, 1)``.

    Returns:
        The boundary, which never falls, and the exact chance of crossing it.

    Source:
        Group-sequential testing with a spending function, Lan and DeMets 1983,
        Biometrika 70(3): ``0.7 level (n / n_max) ** 0.25`` before the last look, all of
        it there.
    """
    spendable = _spending(looks, level)
    most = _most_at_once(failure_rate, int(looks[-1]), level)
    found = np.full(len(looks), NONE, np.int64)
    law, lowest, spent, last, before = np.ones(1), 0, 0.0, NONE, 0
    for look, draws in enumerate(looks.tolist()):
        if not len(law):  # whoever could still be certified is
            break
        law, lowest = after(law, lowest, draws - before, failure_rate, most)
        room = spendable[look] * (1.0 - _ROUNDING) - spent
        crossed = int(np.searchsorted(np.cumsum(law), room, "right"))
        spent += float(law[:crossed].sum())
        last = max(last, lowest + crossed - 1) if crossed else last
        found[look:] = last
        law, lowest, before = law[crossed:], lowest + crossed, draws
    return Boundary(found, spent)


def give_up(
    certify: Int64[np.ndarray, " look"],
    looks: Int64[np.ndarray, " look"],
    *,
    doubt: float,
) -> Int64[np.ndarray, " look"]:
    """Return the most failures with which going on is still worth its votes.

    It decides only when to stop, so no certificate depends on it. An image goes on as
    long as the failures it would end with, at a rate it can be thought to have, are few
    enough at the last look.

    Args:
        certify: boundary of the radius.
        looks: its looks.
        doubt: chance with which an image that would just be certified is given up at
            one look, in ``(0, 1/2)``.

    Returns:
        Counts; with more failures than these an image is given up. ``NONE`` at every
        look if the radius cannot be certified.

    Source:
        Stochastic curtailment; Lan, Simon and Halperin 1982, Sequential Analysis 1(3).
    """
    ends_with = int(certify[-1])
    if ends_with == NONE:
        return np.full(len(looks), NONE, np.int64)
    low, high = np.zeros(len(looks), np.int64), np.full(len(looks), ends_with + 1)
    while (high - low > 1).any():  # 0 failures are hopeful, one too many never are
        middle = (low + high) // 2
        hopeful = _expected_at_the_end(middle, looks, doubt) <= ends_with + 0.5
        low, high = np.where(hopeful, middle, low), np.where(hopeful, high, middle)
    return low


def _expected_at_the_end(
    failures: np.ndarray, looks: np.ndarray, doubt: float
) -> Float64[np.ndarray, " look"]:
    """Return the failures among all draws at a rate as low as those seen allow."""
    inside = np.minimum(failures, looks)
    rate = betaincinv(np.maximum(inside, 1), looks - inside + 1, doubt)
    return failures + (looks[-1] - looks) * np.where(inside == 0, 0.0, rate)


def _spending(looks: np.ndarray, level: float) -> Float64[np.ndarray, " look"]:
    """Return the chance of error that may be spent until each look."""
    spent = _SHARE_BEFORE_THE_LAST * level * (looks / looks[-1]) ** _EXPONENT
    spent[-1] = level
    return spent


def _most_at_once(failure_rate: float, draws: int, level: float) -> int:
    """Return the most failures that one look at the end certifies: no look can more."""
    sd = math.sqrt(draws * failure_rate * (1.0 - failure_rate))
    high = min(draws, math.ceil(draws * failure_rate + _WIDTH * sd) + 1)
    low = max(0, math.floor(draws * failure_rate - 4 * _WIDTH * sd) - 1)
    counts = np.arange(low, high + 1)
    within = np.flatnonzero(bdtr(counts, draws, failure_rate) <= level)
    return low + int(within[-1]) if len(within) else NONE
