"""Bounds against SciPy's own and against numbers published or computed apart."""

import numpy as np
import pytest
from scipy.stats import beta, binom, binomtest, norm

from ops.certify.clopper_pearson import (
    certified_quantile,
    failure_quantile,
    fewest_votes,
    largest_radius,
    lower_bound_probability,
    upper_bound_probability,
)
from ops.certify.fixed import two_sided_quantile

QUANTILES = np.arange(0, 4.5, 0.5)


@pytest.mark.parametrize("num_draws", [1, 2, 10, 137, 10_000])
@pytest.mark.parametrize("failure_probability", [0.05, 1e-3, 2e-8])
def test_bounds_are_those_of_scipys_exact_interval(
    num_draws: int, failure_probability: float
) -> None:
    votes = np.unique(np.linspace(0, num_draws, 12).astype(np.int64))
    draws = np.full_like(votes, num_draws)

    lower = lower_bound_probability(
        votes, draws, failure_probability=failure_probability
    )
    upper = upper_bound_probability(
        votes, draws, failure_probability=failure_probability
    )

    level = 1 - failure_probability
    for vote, low, high in zip(votes, lower, upper, strict=True):
        greater = binomtest(int(vote), num_draws, alternative="greater")
        less = binomtest(int(vote), num_draws, alternative="less")
        interval = greater.proportion_ci(level, method="exact")
        # 1 - level keeps eight digits of 2e-8.
        assert low == pytest.approx(interval.low, rel=1e-6, abs=1e-15)
        interval = less.proportion_ci(level, method="exact")
        assert high == pytest.approx(interval.high, rel=1e-6, abs=1e-15)


@pytest.mark.parametrize("num_draws", [1, 10, 1_000, 100_000])
def test_unanimous_votes_give_the_nth_root(num_draws: int) -> None:
    draws = np.array([num_draws])

    bound = lower_bound_probability(draws, draws, failure_probability=1e-3)

    assert bound[0] == pytest.approx(1e-3 ** (1 / num_draws), rel=1e-12)


@pytest.mark.parametrize(
    ("num_estimate", "cap"),
    [
        (100, 1.5005),
        (500, 2.2052),
        (1_000, 2.4633),
        (2_000, 2.7018),
        (5_000, 2.9931),
        (10_000, 3.1986),
        (20_000, 3.3933),
        (100_000, 3.8115),
    ],
)
def test_largest_radius_is_the_published_cap(num_estimate: int, cap: float) -> None:
    draws = np.array([num_estimate])
    unanimous = certified_quantile(0 * draws, draws, failure_probability=1e-3)

    assert largest_radius(1.0, num_estimate, 1e-3) == pytest.approx(cap, abs=6e-5)
    assert largest_radius(0.5, num_estimate, 1e-3) == pytest.approx(unanimous[0] / 2)


def test_nine_votes_certify_nothing_at_one_in_a_thousand_and_ten_do() -> None:
    assert largest_radius(1.0, 9, 1e-3) == 0.0
    assert largest_radius(1.0, 10, 1e-3) == pytest.approx(0.0030, abs=1e-4)


@pytest.mark.parametrize(
    ("failure_probability", "needed"),
    [
        (1e-3, [10, 19, 40, 100, 301, 1_109, 5_114, 29_691, 218_105]),
        (1e-4, [14, 25, 54, 134, 401, 1_479, 6_819, 39_588, 290_807]),
        (2e-8, [26, 49, 103, 257, 771, 2_846, 13_124, 76_197, 559_728]),
    ],
)
def test_a_perfect_image_needs_the_tabled_votes_and_not_one_less(
    failure_probability: float, needed: list[int]
) -> None:
    fewest = fewest_votes(QUANTILES, failure_probability=failure_probability)

    assert fewest.tolist() == needed
    none = np.zeros_like(fewest)
    enough = certified_quantile(none, fewest, failure_probability=failure_probability)
    short = certified_quantile(
        none, fewest - 1, failure_probability=failure_probability
    )
    assert (enough >= QUANTILES).all()
    assert (short < QUANTILES).all()


def test_quantiles_keep_their_digits_near_certainty() -> None:
    rare = np.array([1e-15, 1e-3, 0.5])

    assert failure_quantile(rare) == pytest.approx([7.9413, 3.0902, 0.0], abs=5e-5)
    assert failure_quantile(rare) == pytest.approx(norm.isf(rare), rel=1e-12)


@pytest.mark.parametrize("failure_probability", [1e-3, 2e-8])
@pytest.mark.parametrize("quantile", [0.0, 1.0, 2.0, 3.0])
def test_bound_and_p_value_decide_alike_at_the_last_count_that_passes(
    quantile: float, failure_probability: float
) -> None:
    num_draws, rate = 20_000, norm.sf(quantile)
    counts = np.arange(num_draws)
    passing = binom.cdf(counts, num_draws, rate) <= failure_probability
    last = int(passing.sum()) - 1
    edge = np.array([last, last + 1])

    bound = upper_bound_probability(
        edge, np.full(2, num_draws), failure_probability=failure_probability
    )

    assert (bound <= rate).tolist() == [True, False]


@pytest.mark.parametrize(
    ("votes", "one_sided"),
    [
        ([10_000, 0, 0], 3.199),
        ([9_000, 200, 800], 1.229),
        ([6_000, 2_000, 2_000], 0.214),
        ([6_000, 500, 3_500], 0.214),
        ([4_500, 300, 5_200], None),
    ],
)
def test_two_sided_radius_is_that_of_beta_quantiles_at_half_the_level(
    votes: list[int], one_sided: float | None
) -> None:
    """The rest of the votes is spread over many classes, too small to be second."""
    top, second, spread = votes
    row = np.array([[top, second, *np.full(50, spread // 50)]], dtype=np.int64)
    draws = int(row.sum())
    zero = np.zeros(1, dtype=np.int64)

    two_sided = two_sided_quantile(row, zero, zero, failure_probability=1e-3)

    lower = beta.ppf(5e-4, top, draws - top + 1)
    upper = min(1 - lower, beta.ppf(1 - 5e-4, second + 1, draws - second))
    expected = (norm.ppf(lower) - norm.ppf(upper)) / 2
    assert draws == 10_000
    assert two_sided[0] == pytest.approx(expected, rel=1e-7)
    if one_sided is not None:
        failures = np.array([draws - top])
        plain = certified_quantile(
            failures, np.array([draws]), failure_probability=1e-3
        )
        assert plain[0] == pytest.approx(one_sided, abs=6e-4)


def test_two_sided_radius_at_agreement_is_the_published_one() -> None:
    row, zero = np.array([[10_000, 0]]), np.zeros(1, dtype=np.int64)

    two_sided = two_sided_quantile(row, zero, zero, failure_probability=1e-3)

    assert two_sided[0] == pytest.approx(norm.ppf(5e-4**1e-4), rel=1e-9)
    assert two_sided[0] == pytest.approx(3.171, abs=6e-4)
