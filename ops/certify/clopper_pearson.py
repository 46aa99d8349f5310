"""Exact binomial bounds, counted in failures so that nothing is lost near certainty."""

import math

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import betainccinv, betaincinv, log_ndtr, ndtri


def lower_bound_probability(
    num_votes: Int64[np.ndarray, " row"],
    num_draws: Int64[np.ndarray, " row"],
    *,
    failure_probability: float,
) -> Float64[np.ndarray, " row"]:
    """Bound from below the chance that a noisy copy gets the guessed class.

    One-sided Clopper-Pearson bound, exact at every sample size. It holds only if the
    class was guessed from draws other than these, and for one look at the draws.

    Args:
        num_votes: votes for the guessed class, counts in ``[0, num_draws]``.
        num_draws: noisy copies classified, counts of at least 0.
        failure_probability: chance that a row's bound is too high, in ``(0, 1)``;
            spent on every row anew, not shared over the data set.

    Returns:
        Probabilities in ``[0, 1)``; 0 where the class got no vote. Take a radius from
        ``certified_quantile``, which keeps the digits that are lost here near 1.

    Raises:
        ValueError: a row has more votes than draws, or fewer than none.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, LowerConfBound in CERTIFY.
    """
    _refuse_impossible("lower_bound_probability", num_votes, num_draws)
    one_or_more = np.maximum(num_votes, 1)
    num_failures = np.maximum(num_draws - one_or_more, 0)
    bound = betaincinv(one_or_more, num_failures + 1, failure_probability)
    return np.where(num_votes == 0, 0.0, bound)


def upper_bound_probability(
    num_votes: Int64[np.ndarray, " row"],
    num_draws: Int64[np.ndarray, " row"],
    *,
    failure_probability: float,
) -> Float64[np.ndarray, " row"]:
    """Bound from above the chance of what was counted: a class, or a failure.

    One-sided Clopper-Pearson bound. Given failures it is one minus the lower bound of
    the successes, with all its digits.

    Args:
        num_votes: what was counted, in ``[0, num_draws]``.
        num_draws: noisy copies classified, counts of at least 0.
        failure_probability: chance that a row's bound is too low, in ``(0, 1)``.

    Returns:
        Probabilities in ``(0, 1]``; 1 where every draw was counted.

    Raises:
        ValueError: a row has more votes than draws, or fewer than none.

    Source:
        Clopper and Pearson 1934, Biometrika 26(4); at no vote
        ``1 - failure_probability ** (1 / num_draws)``.
    """
    _refuse_impossible("upper_bound_probability", num_votes, num_draws)
    one_or_more = np.maximum(num_draws, 1)
    rest = np.maximum(num_draws - num_votes, 1)
    bound = betainccinv(num_votes + 1, rest, failure_probability)
    none = -np.expm1(math.log(failure_probability) / one_or_more)
    return np.where(num_votes == num_draws, 1.0, np.where(num_votes == 0, none, bound))


def failure_quantile(
    probability: Float64[np.ndarray, " row"],
) -> Float64[np.ndarray, " row"]:
    """Return how many standard deviations keep a failure this rare.

    Args:
        probability: chance of failure, in ``[0, 1]``; small values keep their digits.

    Returns:
        ``Phi^-1(1 - probability)``: positive below one half, infinite at 0 and 1.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, equation 3.
    """
    return -ndtri(probability)


def certified_quantile(
    num_failures: Int64[np.ndarray, " row"],
    num_draws: Int64[np.ndarray, " row"],
    *,
    failure_probability: float,
) -> Float64[np.ndarray, " row"]:
    """Return the certified radius in units of sigma, straight from the failures.

    Args:
        num_failures: draws that did not vote for the guessed class, in
            ``[0, num_draws]``.
        num_draws: noisy copies classified, counts of at least 0.
        failure_probability: chance that a row's radius is too large, in ``(0, 1)``.

    Returns:
        ``radius / sigma``; negative where the class may be in the minority, minus
        infinity where it got no vote.

    Raises:
        ValueError: a row has more failures than draws, or fewer than none.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, CERTIFY.
    """
    failure = upper_bound_probability(
        num_failures, num_draws, failure_probability=failure_probability
    )
    return failure_quantile(failure)


def largest_radius(
    sigma: float, num_estimate: int, failure_probability: float
) -> float:
    """Return the radius of an image all of whose votes agree: none can be larger.

    Args:
        sigma: std of the certified noise, above 0, in units of [0, 1] pixels.
        num_estimate: votes the certificate rests on, at least 1.
        failure_probability: chance that the certificate is wrong, in ``(0, 1)``.

    Returns:
        ``sigma Phi^-1(failure_probability ** (1 / num_estimate))``, an l2 distance in
        [0, 1] pixels; 0 where even agreement certifies nothing.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, section 3.2.2.
    """
    failure = -math.expm1(math.log(failure_probability) / num_estimate)
    return max(0.0, -sigma * float(ndtri(failure)))


def fewest_votes(
    quantile: Float64[np.ndarray, " row"], *, failure_probability: float
) -> Int64[np.ndarray, " row"]:
    """Count the votes that a perfect image needs to be certified at a radius.

    Args:
        quantile: the radius in units of sigma, at least 0.
        failure_probability: chance that the certificate is wrong, in ``(0, 1)``.

    Returns:
        The smallest ``n`` with ``Phi(quantile) ** n <= failure_probability``.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, section 3.2.2, solved for
        the number of samples.
    """
    needed = np.ceil(math.log(failure_probability) / log_ndtr(quantile))
    return needed.astype(np.int64)


def _refuse_impossible(asked_by: str, votes: np.ndarray, draws: np.ndarray) -> None:
    impossible = (votes < 0) | (votes > draws)
    if impossible.any():
        row = int(impossible.argmax())
        raise ValueError(
            f"{asked_by} needs 0 <= num_votes <= num_draws in every row; "
            f"row {row} has {votes[row]} votes of {draws[row]} draws. "
            f"Pass the votes and draws of one class and one run."
        )
