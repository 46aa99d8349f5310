import numpy as np
import pytest
from scipy.stats import binom, binomtest

from ops.score.paired import Paired, holm, mcnemar


def split(only_first: int, only_second: int, both: int = 0, neither: int = 0) -> Paired:
    """Test two classifiers that agree and differ on this many images."""
    counts = (only_first, only_second, both, neither)
    first = np.repeat([True, False, True, False], counts)
    second = np.repeat([False, True, True, False], counts)
    order = np.random.default_rng(0).permutation(len(first))
    return mcnemar(first[order], second[order])


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        (1, 0, 1.0),  # 2 * 1/2
        (5, 0, 0.0625),  # 2 * 1/32
        (4, 1, 0.375),  # 2 * (1 + 5) / 32
        (3, 3, 1.0),
        (0, 10, 2 / 1024),
        (0, 0, 1.0),
    ],
)
def test_p_values_of_few_images_are_those_counted_by_hand(
    only_first: int, only_second: int, p_value: float
) -> None:
    found = split(only_first, only_second, both=7, neither=2)

    assert found == (only_first, only_second, pytest.approx(p_value, rel=1e-12))


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(9, 21), (40, 41), (3, 120), (600, 480)]
)
def test_p_value_is_scipys_binomial_test_of_a_half(
    only_first: int, only_second: int
) -> None:
    expected = binomtest(only_first, only_first + only_second, 0.5).pvalue

    assert split(only_first, only_second).p_value == pytest.approx(expected, rel=1e-9)


def test_order_of_the_classifiers_swaps_the_counts_alone() -> None:
    assert split(12, 5) == (12, 5, split(5, 12).p_value)


def test_images_on_which_both_agree_say_nothing() -> None:
    assert split(12, 5, both=300, neither=80) == split(12, 5)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_equals_are_told_apart_no_more_often_than_the_level(level: float) -> None:
    for both in range(1, 61):
        chances = binom.pmf(np.arange(both + 1), both, 0.5)
        rejected = [split(k, both - k).p_value <= level for k in range(both + 1)]

        assert chances[rejected].sum() <= level


def test_equals_that_mostly_agree_are_seldom_told_apart() -> None:
    generator, num_runs, level = np.random.default_rng(0), 3000, 0.05
    hard = generator.random((num_runs, 200)) < 0.3
    first, second = (hard & (generator.random(hard.shape) < 0.5) for _ in range(2))

    p_values = [mcnemar(*pair).p_value for pair in zip(first, second, strict=True)]

    slack = 4 * np.sqrt(level / num_runs)  # four standard errors
    rejected = np.mean(np.array(p_values) <= level)
    assert level / 3 < rejected <= level + slack


def test_classifiers_on_different_images_are_refused() -> None:
    with pytest.raises(ValueError, match="the first has 3 and the second 2"):
        mcnemar(np.ones(3, bool), np.ones(2, bool))


def test_adjusted_p_values_are_those_counted_by_hand() -> None:
    # Ascending: 4 * 0.005, 3 * 0.01, 2 * 0.03, and 1 * 0.04 raised to the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.7, 0.01]) == pytest.approx([0.8, 0.8, 0.03])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_adjusting_keeps_the_order_and_stays_between_itself_and_bonferroni() -> None:
    p_values = np.random.default_rng(0).random(50) ** 3

    adjusted = np.array(holm(p_values.tolist()))

    assert (np.diff(adjusted[p_values.argsort()]) >= 0).all()
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(1, 50 * p_values)).all()


@pytest.mark.parametrize("level", [0.01, 0.05, 0.3])
def test_adjusted_p_values_reject_what_stepping_down_rejects(level: float) -> None:
    p_values = np.random.default_rng(1).random(30) ** 6

    rejected = 0
    for value in sorted(p_values):
        if value > level / (30 - rejected):
            break
        rejected += 1

    assert 0 < rejected < 30
    assert sum(value <= level for value in holm(p_values.tolist())) == rejected
