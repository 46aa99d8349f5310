"""Certificates fail as rarely as they promise, and come close to the truth."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from ops.certify.clopper_pearson import (
    lower_bound_probability,
    upper_bound_probability,
)
from ops.certify.fixed import CertifyFixed, two_sided_quantile
from ops.certify.predict import Predict
from ops.columns import Batch, Worker

NUM_ROWS = 40_000
FAILURE_PROBABILITY = 0.01
ALLOWED = FAILURE_PROBABILITY + 4 * math.sqrt(FAILURE_PROBABILITY / NUM_ROWS)
"""Four standard errors above the promise."""


def certify(batch: Batch, failure_probability: float, sigma: float = 1.0) -> Batch:
    rule = CertifyFixed(sigma=sigma, failure_probability=failure_probability)
    return rule.open(Worker(torch.device("cpu")))(batch)


def two_class_batch(
    generator: np.random.Generator, probability: np.ndarray, num_estimate: int
) -> Batch:
    invalid = np.zeros(len(probability), dtype=np.int64)
    select = generator.binomial(100, probability)
    estimate = generator.binomial(num_estimate, probability)
    return {
        "votes_select": np.stack([select, 100 - select], axis=1),
        "invalid_select": invalid,
        "votes_estimate": np.stack([estimate, num_estimate - estimate], axis=1),
        "invalid_estimate": invalid,
    }


@pytest.mark.parametrize("probability", [0.02, 0.5, 0.9, 0.999])
def test_bounds_are_wrong_no_more_often_than_promised(probability: float) -> None:
    draws = np.full(NUM_ROWS, 500)
    votes = np.random.default_rng(0).binomial(draws, probability)

    lower = lower_bound_probability(
        votes, draws, failure_probability=FAILURE_PROBABILITY
    )
    upper = upper_bound_probability(
        votes, draws, failure_probability=FAILURE_PROBABILITY
    )

    assert (lower > probability).mean() <= ALLOWED
    assert (upper < probability).mean() <= ALLOWED


@pytest.mark.parametrize(
    "probabilities",
    [(0.4, 0.3, 0.3), (0.4, 0.35, 0.25), (0.6, 0.2, 0.2), (0.9, 0.09, 0.01)],
)
def test_two_sided_radius_is_too_large_no_more_often_than_promised(
    probabilities: tuple[float, float, float],
) -> None:
    votes = np.random.default_rng(1).multinomial(500, probabilities, size=NUM_ROWS)
    zero = np.zeros(NUM_ROWS, dtype=np.int64)
    top, second, _ = probabilities

    radius = two_sided_quantile(
        votes, zero, zero, failure_probability=FAILURE_PROBABILITY
    )

    true_radius = (norm.ppf(top) - norm.ppf(second)) / 2
    assert (radius > true_radius).mean() <= ALLOWED


def test_wrong_class_has_a_two_sided_radius_as_rarely_as_promised() -> None:
    votes = np.random.default_rng(2).multinomial(500, [0.38, 0.4, 0.22], size=NUM_ROWS)
    zero = np.zeros(NUM_ROWS, dtype=np.int64)

    radius = two_sided_quantile(
        votes, zero, zero, failure_probability=FAILURE_PROBABILITY
    )

    assert (radius > 0).mean() <= ALLOWED


@pytest.mark.parametrize("margin", [0.02, 0.25, 0.5, 1.0])
def test_linear_classifier_is_certified_beyond_its_distance_as_rarely_as_promised(
    margin: float,
) -> None:
    """Of ``w x + b`` the true radius is ``|w x + b| / |w|``, whatever sigma is."""
    sigma = 0.5
    probability = np.full(NUM_ROWS, norm.cdf(margin / sigma))
    batch = two_class_batch(np.random.default_rng(3), probability, 1_000)

    certificates = certify(batch, FAILURE_PROBABILITY, sigma)

    right = certificates["guessed_class"] == 0
    beyond = certificates["radius"] > np.where(right, margin, 0.0)
    assert beyond.mean() <= ALLOWED


def test_linear_classifier_is_certified_close_to_its_distance_by_many_votes() -> None:
    sigma, margin = 0.5, np.linspace(0.05, 1.0, 20)
    probability = norm.cdf(margin / sigma)
    batch = two_class_batch(np.random.default_rng(4), probability, 10_000_000)

    certificates = certify(batch, 1e-3, sigma)

    certified = certificates["guessed_class"] == 0
    # Two margins in twenty may lose the guess on 100 votes; the others are close.
    assert certified.sum() >= 18
    assert certificates["radius"][certified] == pytest.approx(
        margin[certified], abs=0.01
    )


def test_a_tie_is_predicted_as_rarely_as_promised() -> None:
    votes = np.random.default_rng(5).binomial(200, 0.5, size=NUM_ROWS)
    batch = {
        "votes_predict": np.stack([votes, 200 - votes], axis=1),
        "invalid_predict": np.zeros(NUM_ROWS, dtype=np.int64),
    }
    predict = Predict(failure_probability=FAILURE_PROBABILITY)

    predictions = predict.open(Worker(torch.device("cpu")))(batch)

    assert (~predictions["abstained"]).mean() <= ALLOWED
