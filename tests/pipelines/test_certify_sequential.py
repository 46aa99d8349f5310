from collections.abc import Callable

import pyarrow as pa
import pytest
from votes_made import block, only

from pipelines.certificates import certify_votes
from pipelines.ledger import VOTES
from pipelines.reading import Reading, reading_of
from pipelines.recipe import Run

FAILED = {"counts": [], "invalid": 10, "failure": "Its worker died."}


@pytest.fixture
def reading(run_of: Callable[..., Run]) -> Reading:
    settings = ("rule.kind=sequential", "sampling.num_estimate=400")
    return reading_of(run_of(*settings, "rule.radii=[0.25]"), 1)


def votes(num: int, *failed: int, right: int = 10) -> pa.Table:
    rows = [
        block("a", "estimate", n, ({3: right, 4: 10 - right}, 0)) for n in range(num)
    ]
    for number in failed:
        rows[number] |= FAILED
    return pa.Table.from_pylist(rows, VOTES)


def test_an_image_that_has_not_stopped_has_no_certificate(reading: Reading) -> None:
    found = only(certify_votes(votes(2), {"a": 3}, reading))

    assert (found["reason"], found["stopped"]) == ("incomplete", None)
    assert (found["radius"], found["abstained"]) == (0.0, True)
    assert (found["num_draws"], found["radius_index"]) == (20, None)


def test_it_is_incomplete_also_if_a_block_failed_and_says_so_when_done(
    reading: Reading,
) -> None:
    early = only(certify_votes(votes(2, 1), {"a": 3}, reading))
    done = only(certify_votes(votes(50, 1), {"a": 3}, reading))

    assert early["reason"] == "incomplete"
    assert done["reason"] == "Its worker died."
    assert done["stopped"] == "gave up"
    assert done["invalid"] == 10


def test_votes_past_the_stop_are_not_read(reading: Reading) -> None:
    found = only(certify_votes(votes(50), {"a": 3}, reading))

    assert found["radius"] == 0.25
    assert found["num_draws"] < 200
    assert found["counts"] == [{"class": 3, "count": found["num_draws"]}]
    assert found == only(
        certify_votes(votes(found["num_draws"] // 10), {"a": 3}, reading)
    )


def test_a_block_that_failed_past_the_stop_is_no_failure(reading: Reading) -> None:
    assert only(certify_votes(votes(50, 49), {"a": 3}, reading))["reason"] == (
        "certified"
    )


def test_an_image_without_a_majority_is_given_up(reading: Reading) -> None:
    found = only(certify_votes(votes(50, right=5), {"a": 3}, reading))

    assert (found["reason"], found["stopped"]) == ("abstained", "gave up")
    assert found["probability_lower"] == 0.0
