"""Votes of known chances, through planner, ledger and rule: who is certified."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rounds_played import Played
from scipy.special import bdtr, ndtr

from pipelines.reading import Reading, reading_of
from pipelines.recipe import Run

ALPHA, NUM_IMAGES, SIGMA = 0.05, 1000, 0.25
SLACK = 4 * math.sqrt(ALPHA / NUM_IMAGES)  # four standard errors

SETTINGS = (
    "rule.kind=sequential",
    "sampling.num_estimate=200",
    f"sampling.failure_probability={ALPHA}",
    "sampling.num_select=10",
)


@pytest.fixture
def reading(run_of: Callable[..., Run]) -> Reading:
    return reading_of(run_of(*SETTINGS), NUM_IMAGES)


def false_certificates(
    reading: Reading, chances: Sequence[float], radius: float, out: Path
) -> float:
    """Return the share of images that get a radius or a class that does not hold.

    Args:
        reading: the rule.
        chances: of each of ten classes and of none, the same for all images.
        radius: the largest that holds for the class 0; below 0 if none has a majority.
        out: for the votes.
    """
    keys = [f"image_{number}" for number in range(NUM_IMAGES)]
    one = Played(
        reading=reading,
        chances=dict.fromkeys(keys, chances),
        out=out,
        unit_votes=50_000,
    )
    one.play()
    found = one.certificates()
    assert "incomplete" not in found["reason"].to_pylist()
    claimed = ~found["abstained"].to_numpy()
    wrong = found["guessed_class"].to_numpy() != 0
    return float(np.mean(claimed & (wrong | (found["radius"].to_numpy() > radius))))


def just_below(radius: float) -> list[float]:
    failure = float(ndtr(-radius / SIGMA)) + 1e-9
    return [1 - failure, *([failure / 10] * 10)]


@pytest.mark.parametrize("preset", ["default", "aggressive", "anytime"])
def test_an_image_just_below_a_radius_gets_it_no_more_often_than_promised(
    run_of: Callable[..., Run], tmp_path: Path, preset: str
) -> None:
    run = run_of(*SETTINGS, f"rule.preset={preset}")

    found = false_certificates(
        reading_of(run, NUM_IMAGES), just_below(0.25), 0.0, tmp_path
    )

    assert 0 < found <= ALPHA + SLACK


def test_classes_that_tie_are_certified_no_more_often_than_promised(
    reading: Reading, tmp_path: Path
) -> None:
    tie = [0.5, 0.5, *([0.0] * 9)]

    assert false_certificates(reading, tie, -1.0, tmp_path) <= ALPHA + SLACK


def test_a_plain_bound_at_every_look_would_break_the_promise(
    reading: Reading, tmp_path: Path
) -> None:
    table = reading.table
    assert table is not None
    rates = ndtr(-table.radii / SIGMA)
    plain = [
        [
            int(np.flatnonzero(bdtr(np.arange(draws), draws, rate) <= ALPHA)[-1:].sum())
            for draws in table.looks.tolist()
        ]
        for rate in rates
    ]
    peeking = replace(reading, table=replace(table, certify=np.array(plain)))

    found = false_certificates(peeking, just_below(0.25), 0.0, tmp_path)

    assert found > ALPHA + SLACK
