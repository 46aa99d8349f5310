import math

import numpy as np
import pytest
from scipy.special import ndtr

from ops.certify.boundary import NONE
from ops.certify.clopper_pearson import fewest_votes, largest_radius
from ops.certify.e_process import log_evidence, most_failures
from ops.certify.failure_law import crossing_probability
from ops.certify.looks import Table
from ops.certify.sequential import Sequential, looks_of, passes


def table_of(rule: Sequential, sigma: float = 0.5, **changed: float) -> Table:
    settings = {"failure_probability": 1e-3, "step": 0.5} | changed
    return rule.table(sigma, 10_000, block=100, **settings)


def test_looks_are_whole_blocks_about_a_tenth_apart_up_to_all() -> None:
    looks = looks_of(12_500, 100)

    assert looks[:12].tolist() == list(range(100, 1201, 100))
    assert looks[-1] == 12_500
    assert (looks % 100 == 0).all()
    assert (looks[1:] / looks[:-1])[10:].max() < 1.15
    assert looks_of(100, 100).tolist() == [100]


@pytest.mark.parametrize(
    ("preset", "most"), [("default", 1300), ("aggressive", 1500), ("anytime", 2000)]
)
def test_the_most_votes_are_whole_blocks(preset: str, most: int) -> None:
    rule = Sequential.model_validate({"preset": preset})

    assert rule.most_votes(1000, 100) == most
    assert rule.most_votes(1000, 7) % 7 == 0


@pytest.mark.parametrize("preset", ["default", "aggressive", "anytime"])
def test_each_radius_is_crossed_by_chance_within_its_level(preset: str) -> None:
    table = table_of(Sequential.model_validate({"preset": preset}))

    levels = np.where(table.radii == 0, 1e-4, 9e-4)
    assert (table.crossing_probability <= levels).all()
    assert (table.crossing_probability > 0).all()
    for radius, certify, chance in zip(
        table.radii, table.certify, table.crossing_probability, strict=True
    ):
        again = crossing_probability(float(ndtr(-radius / 0.5)), table.looks, certify)
        assert chance == pytest.approx(again, rel=1e-9)


def test_radii_reach_what_the_fixed_rule_reaches() -> None:
    reach = largest_radius(0.5, 10_000, 1e-3)

    table = table_of(Sequential(), step=0.25)

    assert table.radii.tolist() == [0.25 * n for n in range(int(reach / 0.25) + 1)]


def test_named_radii_hold_the_majority_too() -> None:
    assert table_of(Sequential(radii=(0.3, 1.1))).radii.tolist() == [0, 0.3, 1.1]


def test_a_radius_that_cannot_be_reached_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no image reaches 2 with 12,500 votes"):
        table_of(Sequential(radii=(0.5, 2.0)))


@pytest.mark.parametrize("radii", [(), (0.5, 0.25), (0.5, 0.5)])
def test_radii_that_do_not_ascend_are_refused(radii: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="radii that ascend"):
        Sequential(radii=radii)


def test_radii_near_the_cap_are_a_pass_of_their_own() -> None:
    table = table_of(Sequential())
    first, whole = passes(table, 0.5)

    assert first.radii.tolist() == [0, 0.5, 1.0]
    assert whole.radii.tolist() == [0, 0.5, 1.0, 1.5]
    assert (first.certify == whole.certify[:3]).all()
    assert table_of(Sequential(near_cap=False)).radii.tolist() == first.radii.tolist()
    assert passes(first, 0.5) == (first,)


def test_a_perfect_image_needs_hardly_more_votes_than_any_rule() -> None:
    table = table_of(Sequential(), failure_probability=1e-3)

    first = table.looks[(table.certify >= 0).argmax(axis=1)]

    z = table.radii / 0.5
    floor = fewest_votes(z, failure_probability=1e-3)
    assert (first >= floor).all()
    assert first[-1] < 1.6 * floor[-1]


@pytest.mark.parametrize("failure_rate", [0.5, 0.158655, 0.00135])
@pytest.mark.parametrize(("failures", "draws"), [(0, 0), (3, 40), (40, 200)])
def test_the_evidence_stays_the_same_on_average_at_the_threshold(
    failure_rate: float, failures: int, draws: int
) -> None:
    def evidence(more_failures: int, more: int) -> float:
        counts = np.array([failures + more_failures]), np.array([draws + more])
        return float(np.exp(log_evidence(*counts, failure_rate))[0])

    expected = failure_rate * evidence(1, 1) + (1 - failure_rate) * evidence(0, 1)

    assert expected == pytest.approx(evidence(0, 0), rel=1e-9)
    assert evidence(0, 0) == pytest.approx(1.0) or draws


def test_evidence_at_no_draws_is_none() -> None:
    assert log_evidence(np.zeros(1, int), np.zeros(1, int), 0.1)[0] == pytest.approx(0)


def test_counts_of_an_e_process_are_those_whose_evidence_is_enough() -> None:
    looks, rate, level = np.arange(100, 5001, 100), float(ndtr(-1.0)), 9e-4

    counts = most_failures(rate, looks, level=level)

    enough = -math.log(level)
    held = counts != NONE
    assert (log_evidence(counts[held], looks[held], rate) >= enough).all()
    assert (log_evidence(counts + 1, looks, rate) < enough).all()


def test_an_e_process_may_be_looked_at_anywhere() -> None:
    rate, level = float(ndtr(-1.0)), 9e-4
    everywhere = np.arange(1, 3001)

    counts = most_failures(rate, everywhere, level=level)

    assert crossing_probability(rate, everywhere, counts) <= level
    some = most_failures(rate, everywhere[99::100], level=level)
    assert (some <= counts[99::100]).all()
