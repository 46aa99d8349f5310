"""Images just below a radius are certified at it as rarely as was promised."""

import math

import numpy as np
import pytest
from scipy.special import betaincc, ndtr

from ops.certify.boundary import boundary, give_up
from ops.certify.looks import Standing, Table, look, nothing_read

ALPHA, NUM_IMAGES = 0.001, 40_000
QUANTILES = np.array([0.0, 1.0, 2.0, 3.0])
SLACK = 4 * math.sqrt(ALPHA / NUM_IMAGES)  # four standard errors


def looks_up_to(num_votes: int) -> np.ndarray:
    """Return looks after whole blocks of 100, about a tenth apart."""
    looks = [100]
    while looks[-1] < num_votes:
        step = max(100, 100 * round(0.1 * looks[-1] / 100))
        looks.append(min(num_votes, looks[-1] + step))
    return np.array(looks)


def table_of(looks: np.ndarray) -> Table:
    bounds = [
        boundary(float(ndtr(-z)), looks, level=ALPHA * (0.1 if z == 0 else 0.9))
        for z in QUANTILES
    ]
    certify = [bound.most_failures for bound in bounds]
    return Table(
        radii=QUANTILES,
        looks=looks,
        certify=np.array(certify),
        give_up=np.array([give_up(one, looks, doubt=0.02) for one in certify]),
        crossing_probability=np.array([one.crossing_probability for one in bounds]),
    )


TABLE = table_of(looks_up_to(12_500))


def peeking(table: Table) -> Table:
    """Return the table that looks up a plain Clopper-Pearson bound at every look."""
    rows = []
    for quantile in QUANTILES:
        most = [
            np.arange(draws + 1)[
                betaincc(np.arange(draws + 1) + 1, draws - np.arange(draws + 1), w)
                <= ALPHA
            ]
            for draws in table.looks.tolist()
            for w in [float(ndtr(-quantile))]
        ]
        rows.append([found[-1] if len(found) else -1 for found in most])
    return Table(
        table.radii, table.looks, np.array(rows), table.give_up, np.zeros(len(rows))
    )


def sampled(probabilities: np.ndarray, table: Table, seed: int) -> Standing:
    """Return how far images come whose votes have these probabilities."""
    rng = np.random.default_rng(seed)
    standing = nothing_read(NUM_IMAGES)
    votes = np.zeros((NUM_IMAGES, len(probabilities)), np.int64)
    before = 0
    for number, draws in enumerate(table.looks.tolist()):
        going = np.flatnonzero(~standing.stopped)
        more = rng.multinomial(draws - before, probabilities, size=len(going))
        votes[going] += more
        standing, before = look(standing, votes, table, number), draws
    return standing


def false_certificates(
    standing: Standing, probabilities: np.ndarray, true_radii: int
) -> float:
    """Return the share of images that got a radius or a class that does not hold."""
    right = probabilities.argmax() if probabilities.max() > 0.5 else -1
    wrong = (standing.num_radii > 0) & (standing.latched_class != right)
    return float(np.mean(wrong | (standing.num_radii > true_radii)))


def just_below(quantile: float) -> np.ndarray:
    failure = float(ndtr(-quantile)) + 1e-12
    return np.array([1 - failure, failure / 2, failure / 2])


@pytest.mark.parametrize("number", range(len(QUANTILES)))
def test_an_image_just_below_a_radius_is_certified_at_it_no_more_often_than_promised(
    number: int,
) -> None:
    probabilities = just_below(QUANTILES[number])

    standing = sampled(probabilities, TABLE, seed=number)

    found = false_certificates(standing, probabilities, number)
    assert found <= ALPHA + SLACK
    exact = TABLE.crossing_probability[number]
    assert found <= exact + 4 * math.sqrt(exact / NUM_IMAGES)


@pytest.mark.parametrize("num_classes", [2, 3, 4, 6])
def test_classes_that_tie_are_certified_no_more_often_than_promised(
    num_classes: int,
) -> None:
    probabilities = np.full(num_classes, 1 / num_classes)

    standing = sampled(probabilities, TABLE, seed=10 + num_classes)

    assert np.mean(standing.num_radii > 0) <= ALPHA + SLACK


def test_two_classes_of_nearly_half_each_are_latched_rightly() -> None:
    probabilities = np.array([0.51, 0.49])

    standing = sampled(probabilities, TABLE, seed=20)

    assert false_certificates(standing, probabilities, 1) <= ALPHA + SLACK


def test_peeking_with_a_plain_bound_breaks_the_promise() -> None:
    probabilities = just_below(1.0)

    standing = sampled(probabilities, peeking(TABLE), seed=1)

    assert false_certificates(standing, probabilities, 1) > 4 * ALPHA


def test_an_image_stops_early_and_what_it_read_is_a_look() -> None:
    easy = sampled(np.array([0.9999, 0.0001]), TABLE, seed=30)
    hard = sampled(np.array([0.3, 0.4, 0.3]), TABLE, seed=31)

    assert set(easy.num_votes) | set(hard.num_votes) <= set(TABLE.looks.tolist())
    assert (easy.num_radii == len(QUANTILES)).mean() > 0.95
    assert sampled(np.array([1.0, 0.0]), TABLE, seed=32).num_votes.max() < 6_000
    assert easy.num_votes.mean() < 8_000
    assert hard.num_votes.mean() < 300
    assert hard.gave_up.all()
