import numpy as np
import pytest
from scipy.special import betainccinv, ndtr
from scipy.stats import binom

from ops.certify.boundary import NONE, boundary, give_up
from ops.certify.clopper_pearson import fewest_votes

NO = [NONE]


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


LOOKS = np.array(
    numbers(
        "64 128 192 256 320 384 448 512 640 768 960 1216 1536 1920 2368 3008 3712 4672 "
        "5824 7296 9152 11392 12500"
    )
)

# Failures that certify, and the exact chance of crossing, at failure probability 0.001
# of which a tenth goes to the majority; computed by an independent program.
CERTIFY = {
    0: numbers(
        "15 39 65 92 120 147 175 204 262 320 409 529 679 861 1074 1381 1720 2184 2742 "
        "3458 4365 5461 6028"
    ),
    1: numbers(
        "0 6 13 19 26 34 41 49 65 82 108 143 188 242 306 399 503 644 816 1037 1318 "
        "1657 1845"
    ),
    2: [*(5 * NO), *numbers("0 0 1 2 3 6 9 14 20 27 39 50 68 90 118 155 199 229")],
    3: [*(18 * NO), 0, 0, 1, 3, 4],
}
CROSSING = {0: 9.86e-5, 1: 8.77e-4, 2: 8.80e-4, 3: 6.35e-4}
GIVE_UP = {
    1: numbers(
        "16 27 39 50 60 71 81 92 112 133 163 203 252 311 378 474 579 721 889 1103 1369 "
        "1688 1845"
    ),
    3: [0, *(10 * [1]), *(5 * [2]), *(4 * [3]), *(3 * [4])],
}


def rate(quantile: float) -> float:
    return float(ndtr(-quantile))


def level(quantile: float) -> float:
    return 1e-4 if quantile == 0 else 9e-4


@pytest.mark.parametrize("quantile", CERTIFY)
def test_the_table_is_that_of_an_independent_computation(quantile: int) -> None:
    found = boundary(rate(quantile), LOOKS, level=level(quantile))

    assert found.most_failures.tolist() == CERTIFY[quantile]
    assert found.crossing_probability == pytest.approx(CROSSING[quantile], rel=6e-3)


@pytest.mark.parametrize("quantile", GIVE_UP)
def test_giving_up_is_that_of_an_independent_computation(quantile: int) -> None:
    certify = boundary(rate(quantile), LOOKS, level=level(quantile)).most_failures

    assert give_up(certify, LOOKS, doubt=0.02).tolist() == GIVE_UP[quantile]


@pytest.mark.parametrize("failures", [0, 3, 40])
def test_a_single_look_is_clopper_pearson(failures: int) -> None:
    draws, allowed = 1000, 0.001
    limit = betainccinv(failures + 1, draws - failures, allowed)
    looks = np.array([draws])

    above = boundary(limit * (1 + 1e-6), looks, level=allowed)
    below = boundary(limit * (1 - 1e-6), looks, level=allowed)

    assert above.most_failures.tolist() == [failures]
    assert below.most_failures.tolist() == [failures - 1]


def recounted(failure_rate: float, looks: np.ndarray, certify: np.ndarray) -> float:
    """Return the chance of crossing, with every count of failures kept."""
    law, before, crossed = np.ones(1), 0, 0.0
    for draws, most in zip(looks, certify, strict=True):
        step = binom.pmf(np.arange(draws - before + 1), draws - before, failure_rate)
        law, before = np.convolve(law, step), draws
        crossed += law[: most + 1].sum()
        law[: most + 1] = 0.0
    return crossed


@pytest.mark.parametrize("quantile", [0.0, 0.7, 1.5, 2.2])
@pytest.mark.parametrize("allowed", [1e-3, 2e-8])
def test_the_chance_of_crossing_is_exact_and_within_the_level(
    quantile: float, allowed: float
) -> None:
    looks = np.arange(100, 3001, 100)

    found = boundary(rate(quantile), looks, level=allowed)

    exact = recounted(rate(quantile), looks, found.most_failures)
    assert found.crossing_probability == pytest.approx(exact, rel=1e-6)
    assert 0.5 * allowed < exact <= allowed


@pytest.mark.parametrize("quantile", [0.5, 2.0])
def test_whoever_fails_more_crosses_more_rarely(quantile: float) -> None:
    looks = np.arange(100, 3001, 100)
    certify = boundary(rate(quantile), looks, level=1e-3).most_failures

    chances = [
        recounted(more * rate(quantile), looks, certify) for more in (1, 1.02, 1.1, 1.5)
    ]

    assert chances == sorted(chances, reverse=True)


def test_larger_radii_take_fewer_failures_at_every_look() -> None:
    quantiles = np.arange(0.25, 3.6, 0.25)

    rows = [boundary(rate(z), LOOKS, level=9e-4).most_failures for z in quantiles]

    assert (np.diff(rows, axis=0) <= 0).all()
    assert (np.diff(rows, axis=1) >= 0).all()


def test_no_radius_is_certified_with_fewer_votes_than_a_perfect_image_needs() -> None:
    looks = np.arange(100, 10_001, 100)

    for quantile in (1.0, 2.0, 2.5, 3.0):
        certify = boundary(rate(quantile), looks, level=1e-3).most_failures
        first = looks[np.flatnonzero(certify >= 0)[0]]
        assert first >= fewest_votes(np.array([quantile]), failure_probability=1e-3)[0]


def test_a_radius_out_of_reach_is_given_up_at_once() -> None:
    certify = boundary(rate(4.0), LOOKS, level=9e-4)

    assert certify.crossing_probability == 0.0
    assert set(certify.most_failures.tolist()) == {NONE}
    assert set(give_up(certify.most_failures, LOOKS, doubt=0.02).tolist()) == {NONE}


def test_giving_up_is_never_possible_where_the_radius_is_certified() -> None:
    for quantile in (0.0, 1.0, 2.0, 3.0):
        certify = boundary(rate(quantile), LOOKS, level=9e-4).most_failures
        assert (give_up(certify, LOOKS, doubt=0.02) >= certify).all()
