from collections.abc import Callable

import pytest
from votes_made import block, image, only, table

from pipelines.certificates import certify_votes, failures
from pipelines.reading import reading_of
from pipelines.recipe import Run
from pipelines.results import num_set_aside


@pytest.fixture
def run(run_of: Callable[..., Run]) -> Run:
    return run_of()


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_an_image_without_one_of_its_blocks_is_incomplete(
    run: Run, missing: int
) -> None:
    rows = image("a")
    del rows[missing]

    found = only(certify_votes(table(rows), {"a": 3}, reading_of(run, 1)))

    assert found["reason"] == "incomplete"
    assert (found["radius"], found["radius_two_sided"]) == (0, 0)
    assert found["abstained"]


def test_later_blocks_do_not_stand_in_for_missing_ones(run: Run) -> None:
    rows = image("a")
    rows[3]["block"] = 7

    assert (
        only(certify_votes(table(rows), {"a": 3}, reading_of(run, 1)))["reason"]
        == "incomplete"
    )


def test_an_image_without_votes_is_there_and_incomplete(run: Run) -> None:
    found = certify_votes(table(image("a")), {"b": 1, "a": 3}, reading_of(run, 1))

    assert found["image_key"].to_pylist() == ["a", "b"]
    assert found["reason"].to_pylist() == ["certified", "incomplete"]
    assert found["radius"].to_pylist()[1] == 0
    assert found["clean_class"].to_pylist() == [3, None]
    assert num_set_aside(found) == 1


def test_more_blocks_than_are_read_change_nothing(run: Run) -> None:
    more = [
        block("a", "estimate", 2, ({7: 10}, 0)),
        block("a", "predict", 0, ({7: 9}, 1)),
    ]

    assert certify_votes(table(image("a") + more), {"a": 3}, reading_of(run, 1)).equals(
        certify_votes(table(image("a")), {"a": 3}, reading_of(run, 1))
    )


@pytest.mark.parametrize(
    ("indexes", "is_whole"),
    [
        ([0, 1], True),
        ([0, 1, 2, -1], True),
        ([0, -1], False),
        ([-1, -2], False),
        ([0, 0], False),
        ([1, 1], False),
        ([0, 1, 1], False),
        ([0, 0, 1, 1], False),
        ([1, 2], False),
        ([0], False),
    ],
)
def test_only_the_blocks_that_are_read_each_once_make_a_certificate(
    run: Run, indexes: list[int], is_whole: bool
) -> None:
    estimate = [block("a", "estimate", index, ({3: 10}, 0)) for index in indexes]
    votes = table(image("a")[:2] + estimate)

    found = only(certify_votes(votes, {"a": 3}, reading_of(run, 1)))

    assert found["reason"] == ("certified" if is_whole else "incomplete")
    assert (found["radius"] > 0) == is_whole
    assert found["num_draws"] == 20
    assert found["num_votes"] == (20 if is_whole else 0)


@pytest.mark.parametrize("stream", ["select", "clean", "predict"])
def test_a_block_of_another_stream_stands_in_for_none(run: Run, stream: str) -> None:
    rows = image("a")
    rows[3]["stream"] = stream

    assert (
        only(certify_votes(table(rows), {"a": 3}, reading_of(run, 1)))["reason"]
        == "incomplete"
    )


def test_a_failure_beyond_the_blocks_that_are_read_is_no_reason(run: Run) -> None:
    lost = {"failure": "Image 'a' is broken."}
    beyond = [
        block("a", "estimate", 2, ({}, 10), **lost),
        block("a", "select", 1, ({}, 10), **lost),
        block("a", "estimate", -1, ({}, 10), **lost),
        block("a", "predict", 0, ({}, 10), **lost),
    ]

    assert certify_votes(
        table(image("a") + beyond), {"a": 3}, reading_of(run, 1)
    ).equals(certify_votes(table(image("a")), {"a": 3}, reading_of(run, 1)))


def test_a_failure_among_the_blocks_that_are_read_is_the_reason(run: Run) -> None:
    rows = image("a")
    rows[3] |= {"counts": [], "invalid": 10, "failure": "Its worker died."}

    found = only(certify_votes(table(rows), {"a": 3}, reading_of(run, 1)))

    assert found["reason"] == "Its worker died."
    assert (found["num_votes"], found["num_draws"], found["invalid"]) == (10, 20, 10)


def test_of_several_reasons_it_is_the_same_in_any_order(run: Run) -> None:
    reasons = ["worker died", "broken", "out of memory"]
    rows = [
        block("a", "estimate", i, ({}, 10), failure=reason)
        for i, reason in enumerate(reasons)
    ]

    assert failures(table(rows)) == {"a": "broken"}
    assert failures(table(rows[::-1])) == {"a": "broken"}
    assert failures(table(rows[:1])) == {"a": "worker died"}
    assert failures(table([])) == {}
