from collections.abc import Callable

import numpy as np
import pytest

from ops.certify.clopper_pearson import (
    certified_quantile,
    largest_radius,
    lower_bound_probability,
    upper_bound_probability,
)


def test_upper_bound_of_failures_completes_lower_bound_of_successes() -> None:
    votes, draws = np.arange(101), np.full(101, 100)

    lower = lower_bound_probability(votes, draws, failure_probability=1e-3)
    upper = upper_bound_probability(draws - votes, draws, failure_probability=1e-3)

    assert lower + upper == pytest.approx(np.ones(101), abs=1e-12)


def test_bounds_grow_with_votes() -> None:
    votes, draws = np.arange(1001), np.full(1001, 1000)

    lower = lower_bound_probability(votes, draws, failure_probability=1e-3)
    quantile = certified_quantile(draws - votes, draws, failure_probability=1e-3)

    assert (np.diff(lower) > 0).all()
    assert (np.diff(quantile[1:]) > 0).all()


def test_draws_of_nothing_bound_nothing() -> None:
    none = np.zeros(1, dtype=np.int64)

    assert lower_bound_probability(none, none, failure_probability=1e-3) == 0.0
    assert upper_bound_probability(none, none, failure_probability=1e-3) == 1.0


def test_no_vote_at_all_has_an_infinitely_negative_quantile() -> None:
    draws = np.array([50])

    assert certified_quantile(draws, draws, failure_probability=1e-3)[0] == -np.inf


def test_largest_radius_is_in_units_of_sigma() -> None:
    assert largest_radius(0.25, 1000, 1e-3) == pytest.approx(
        largest_radius(1.0, 1000, 1e-3) / 4
    )


@pytest.mark.parametrize("bound", [lower_bound_probability, upper_bound_probability])
@pytest.mark.parametrize("votes", [-1, 11])
def test_impossible_counts_are_refused_with_their_row(
    bound: Callable[..., np.ndarray], votes: int
) -> None:
    with pytest.raises(ValueError, match=rf"row 1 has {votes} votes of 10 draws"):
        bound(np.array([3, votes]), np.array([10, 10]), failure_probability=1e-3)
