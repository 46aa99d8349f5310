"""Failures that certify at any time: no schedule of looks, no largest number of votes.

An e-process stays below ``1 / level`` for ever with probability ``1 - level`` at least,
so votes may be looked at whenever one likes, and added for ever.
"""

import math

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import betainc, betaln, log1p

from ops.certify.boundary import NONE

_PRIOR = 0.5


def most_failures(
    failure_rate: float, looks: Int64[np.ndarray, " look"], *, level: float
) -> Int64[np.ndarray, " look"]:
    """Return the most failures with which a threshold is certified at each look.

    They hold at every number of draws together; the looks only say where they are
    wanted. The evidence falls with every failure, so they are found by bisection.

    Args:
        failure_rate: of the threshold, ``Phi(-radius / sigma)``, in ``(0, 1/2]``.
        looks: numbers of draws, ascending.
        level: chance of a false certificate, in ``(0, 1)``.

    Returns:
        Counts; :data:`ops.certify.boundary.NONE` where none is certified.
    """
    low = np.full(len(looks), NONE, np.int64)
    high = np.ceil(failure_rate * looks).astype(np.int64) + 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = log_evidence(middle, looks, failure_rate) >= -math.log(level)
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return np.maximum.accumulate(low)


def log_evidence(
    num_failures: Int64[np.ndarray, " row"],
    num_draws: Int64[np.ndarray, " row"],
    failure_rate: float,
) -> Float64[np.ndarray, " row"]:
    """Return the log of the e-process against failing as often as a threshold allows.

    A mixture of likelihood ratios over Jeffreys' prior, cut off at the threshold so
    that it bets on fewer failures only. For each of its alternatives the ratio has a
    mean of at most 1 in one step whenever draws fail at ``failure_rate`` or more: it
    is a supermartingale, to which Ville's inequality applies.

    Args:
        num_failures: counts in ``[0, num_draws]``.
        num_draws: counts of at least 0.
        failure_rate: of the threshold, in ``(0, 1/2]``.

    Returns:
        Natural logarithms; minus infinity where the failures leave no mass at all.

    Source:
        Krichevsky and Trofimov 1981 for the prior; Ville 1939; Waudby-Smith and Ramdas
        2024, arXiv:2010.09686, section 4.
    """
    failures = np.maximum(num_failures, 0) + _PRIOR
    successes = np.maximum(num_draws - num_failures, 0) + _PRIOR
    with np.errstate(divide="ignore"):  # a prior cut off from all of the likelihood
        inside = np.log(betainc(failures, successes, failure_rate))
    return (
        betaln(successes, failures)
        - betaln(_PRIOR, _PRIOR)
        - (successes - _PRIOR) * log1p(-failure_rate)
        - (failures - _PRIOR) * math.log(failure_rate)
        + inside
        - math.log(betainc(_PRIOR, _PRIOR, failure_rate))
    )
