"""Certify a radius from a number of votes that was fixed beforehand."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import BaseModel, Field, PositiveFloat

from ops.certify.clopper_pearson import (
    certified_quantile,
    failure_quantile,
    lower_bound_probability,
    upper_bound_probability,
)
from ops.columns import Batch, Columns, Worker


class Fixed(BaseModel, frozen=True, extra="forbid"):
    """Draw every vote that was asked for, then look once."""

    kind: Literal["fixed"] = "fixed"

    family_wise: bool = False
    """Whether all images together share the failure probability."""


class CertifyFixed(BaseModel, frozen=True, extra="forbid"):
    """Guess a class from one set of votes and certify its radius from another.

    The certificate holds because the class is guessed from votes of their own and the
    others are looked at once. Copies without a class are draws that failed.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, CERTIFY.
    """

    reads: ClassVar[Columns] = (
        "votes_select",
        "invalid_select",
        "votes_estimate",
        "invalid_estimate",
    )
    writes: ClassVar[Columns] = (
        "guessed_class",
        "num_votes",
        "num_draws",
        "probability_lower",
        "radius",
        "radius_two_sided",
        "abstained",
        "smoothed_class",
    )

    sigma: PositiveFloat
    """Std of the certified noise, in units of [0, 1] pixels."""

    failure_probability: Annotated[float, Field(gt=0, lt=1)]
    """Chance that one row's certificate is wrong."""

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Return the certifying function; there is nothing to load."""
        return self._certify

    def _certify(self, batch: Batch) -> Batch:
        """Certify rows of class histograms; a row without a guess abstains."""
        votes, invalid = batch["votes_estimate"], batch["invalid_estimate"]
        guessed_class = most_voted_class(batch["votes_select"])
        num_votes = votes_of_class(votes, guessed_class)
        num_draws = votes.sum(axis=1) + invalid
        probability_lower = lower_bound_probability(
            num_votes, num_draws, failure_probability=self.failure_probability
        )
        abstained = probability_lower < 0.5
        quantile = certified_quantile(
            num_draws - num_votes,
            num_draws,
            failure_probability=self.failure_probability,
        )
        two_sided = two_sided_quantile(
            votes,
            invalid,
            guessed_class,
            failure_probability=self.failure_probability,
        )
        return {
            "guessed_class": guessed_class,
            "num_votes": num_votes,
            "num_draws": num_draws,
            "probability_lower": probability_lower,
            "radius": self.sigma * np.where(abstained, 0.0, np.maximum(quantile, 0.0)),
            "radius_two_sided": self.sigma * two_sided,
            "abstained": abstained,
            "smoothed_class": most_voted_class(votes),
        }


def most_voted_class(
    votes: Int64[np.ndarray, "row class"],
) -> Int64[np.ndarray, " row"]:
    """Return the class with the most votes, the first of them where several tie.

    Args:
        votes: votes per class, counts of at least 0.

    Returns:
        Classes; -1 where nobody voted.
    """
    return np.where(votes.sum(axis=1) == 0, -1, votes.argmax(axis=1))


def votes_of_class(
    votes: Int64[np.ndarray, "row class"], chosen: Int64[np.ndarray, " row"]
) -> Int64[np.ndarray, " row"]:
    """Return each row's votes for the class chosen for it.

    Args:
        votes: votes per class, counts of at least 0.
        chosen: a class per row, or -1 for none.

    Returns:
        Counts; 0 where no class is chosen.
    """
    votes_of_chosen = votes[np.arange(len(votes)), chosen]
    return np.where(chosen < 0, 0, votes_of_chosen)


def two_sided_quantile(
    votes: Int64[np.ndarray, "row class"],
    invalid: Int64[np.ndarray, " row"],
    guessed_class: Int64[np.ndarray, " row"],
    *,
    failure_probability: float,
) -> Float64[np.ndarray, " row"]:
    """Return the radius in units of sigma that also uses a bound on the runner-up.

    Half the failure probability goes to each bound. The runner-up needs no correction
    over classes, as the guessed class comes from other votes: whichever class truly
    comes second, the largest other count is at least its count. Copies without a class
    are counted for that rival.

    Args:
        votes: votes per class, counts of at least 0.
        invalid: copies that voted for no class, counts of at least 0.
        guessed_class: class guessed from votes other than these, or -1 for none.
        failure_probability: chance that a row's radius is too large, in ``(0, 1)``.

    Returns:
        ``(Phi^-1(p_A) - Phi^-1(p_B)) / 2``, or 0 where ``p_A <= p_B``.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, theorem 1. The bound
        ``p_B`` never passes ``1 - p_A``: a rival has at most all the failures.
    """
    num_draws = votes.sum(axis=1) + invalid
    num_failures = num_draws - votes_of_class(votes, guessed_class)
    is_rival = np.arange(votes.shape[1]) != guessed_class[:, None]
    rival = np.where(is_rival, votes, 0).max(axis=1) + invalid
    half = failure_probability / 2
    failure = upper_bound_probability(num_failures, num_draws, failure_probability=half)
    runner_up = upper_bound_probability(rival, num_draws, failure_probability=half)
    quantile = (failure_quantile(failure) + failure_quantile(runner_up)) / 2
    return np.maximum(quantile, 0.0)
