"""Certificates of a cascade are wrong as rarely as promised, at the worst of places."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from ops.certify.cascade import CertifyCascade
from ops.certify.fixed import most_voted_class, votes_of_class
from ops.columns import Worker

NUM_ROWS = 40_000
NUM_DRAWS = 400
FAILURE_PROBABILITY = 0.03
ALLOWED = FAILURE_PROBABILITY + 4 * math.sqrt(FAILURE_PROBABILITY / NUM_ROWS)
"""Four standard errors above the promise."""

SIGMAS = (1.0, 0.5, 0.25)

Stages = tuple[tuple[float, ...], ...]
"""Probabilities of the classes, stage by stage, from the largest sigma down."""


def truth(stages: Stages) -> tuple[int, float]:
    """Return what the cascade says, -1 if nothing, and how far it surely says it."""
    radius = math.inf
    for sigma, chances in zip(SIGMAS, stages, strict=True):
        most = max(chances)
        if most > 0.5:
            decided = float(sigma * norm.ppf(most))
            return chances.index(most), min(radius, decided)
        radius = min(radius, float(sigma * norm.isf(most)))
    return -1, 0.0


def share_of_wrong(stages: Stages, num_select: int, seed: int) -> float:
    """Return how many certificates name another class, or too large a radius."""
    generator = np.random.default_rng(seed)
    guesses, counts = [], []
    for chances in stages:
        select = generator.multinomial(num_select, chances, size=NUM_ROWS)
        estimate = generator.multinomial(NUM_DRAWS, chances, size=NUM_ROWS)
        guesses.append(most_voted_class(select))
        counts.append((votes_of_class(estimate, guesses[-1]), estimate.max(axis=1)))
    votes, most = (np.stack(column, axis=1) for column in zip(*counts, strict=True))
    op = CertifyCascade(sigmas=SIGMAS, failure_probability=FAILURE_PROBABILITY)
    batch = {"num_votes": votes, "num_most": most}
    draws = np.full_like(votes, NUM_DRAWS)
    found = op.open(Worker(torch.device("cpu")))({**batch, "num_draws": draws})
    right, radius = truth(stages)
    said = np.stack(guesses, axis=1)[np.arange(NUM_ROWS), found["stage"]]
    wrong = found["decided"] & ((said != right) | (found["radius"] > radius))
    return float(wrong.mean())


HALF = (0.5, 0.5)
SURE = (0.999, 0.001)
FAR = float(norm.cdf(2 * norm.isf(0.25)))
"""Of an answer at half the sigma, as far away as a silence of 1/4 each."""
WORST: dict[str, Stages] = {
    "no stage answers, each by a hair": (HALF, HALF, HALF),
    "the last answers, after two that nearly do": (HALF, HALF, SURE),
    "the second answers by a hair and the first nearly does": (
        HALF,
        (0.5001, 0.4999),
        (0.001, 0.999),
    ),
    "the first is silenced by mistake, the second says another class": (
        (0.5001, 0.25, 0.2499),
        (0.001, 0.998, 0.001),
        SURE,
    ),
    "two classes share the silence": ((0.4, 0.4, 0.2), (0.001, 0.998, 0.001), SURE),
    "the silence of the first gives the radius": (
        (0.35, 0.35, 0.3),
        (0.995, 0.004, 0.001),
        SURE,
    ),
    "silence and answer give the same radius": (
        (0.25, 0.25, 0.25, 0.25),
        (FAR, 1 - FAR, 0.0, 0.0),
        (0.25, 0.25, 0.25, 0.25),
    ),
}


@pytest.mark.parametrize("num_select", [1, 100])
@pytest.mark.parametrize("name", list(WORST))
def test_a_cascade_is_wrong_as_rarely_as_promised(name: str, num_select: int) -> None:
    assert share_of_wrong(WORST[name], num_select, seed=0) <= ALLOWED


def test_the_share_of_a_stage_is_spent_at_each_that_may_answer_by_mistake() -> None:
    """Where one bound is put to the test, a third of what is promised is used."""
    sure = share_of_wrong((SURE, SURE, SURE), 100, seed=1)
    one = share_of_wrong((HALF, (0.25,) * 4, (0.25,) * 4), 100, seed=1)

    assert sure <= FAILURE_PROBABILITY / 3 + 4 * math.sqrt(0.01 / NUM_ROWS)
    assert 0.001 < one <= FAILURE_PROBABILITY / 3 + 4 * math.sqrt(0.01 / NUM_ROWS)
