from collections.abc import Callable

import pytest

from pipelines.unit_tracker import UnitTracker, Verdict

Begin = Callable[..., Verdict]


@pytest.fixture
def tracker() -> UnitTracker:
    return UnitTracker(3, 10, is_alive=lambda node: node != "lost")


@pytest.fixture
def begin(tracker: UnitTracker) -> Begin:
    def begin(call: str, *images: str, node: str = "here") -> Verdict:
        return tracker.begin(call, "fused", images, node, 1)

    return begin


def test_a_call_that_begins_once_is_let_through(begin: Begin) -> None:
    assert begin("unit", "a", "b") == Verdict(False, {}, None)


def test_images_of_a_call_that_died_are_tried_alone(
    tracker: UnitTracker, begin: Begin
) -> None:
    begin("unit", "a", "b")

    assert begin("unit", "a", "b").alone
    assert not begin("unit/a", "a").alone
    assert tracker.news().num_retries == 1


def test_an_image_that_killed_its_worker_too_often_is_condemned(
    tracker: UnitTracker, begin: Begin
) -> None:
    begin("other", "b")
    tracker.end("other")
    for _ in range(3):
        assert begin("unit/a", "a").condemned == {}

    verdict = begin("unit/a", "a")

    assert verdict.condemned == {"a": "its worker died 3 times in stage fused"}
    assert begin("later", "a", "c").condemned.keys() == {"a"}
    assert tracker.news().condemned.keys() == {"a"}


def test_the_reason_names_what_was_raised_last(
    tracker: UnitTracker, begin: Begin
) -> None:
    for error in ("MemoryError", "MemoryError", "RuntimeError"):
        begin("unit/a", "a")
        tracker.failed("unit/a", error)

    (reason,) = begin("unit/a", "a").condemned.values()

    assert reason.endswith("at last of RuntimeError")


def test_deaths_in_a_row_count_and_no_others(
    tracker: UnitTracker, begin: Begin
) -> None:
    for _ in range(5):
        begin("unit/a", "a")
        assert begin("unit/a", "a").condemned == {}
        tracker.end("unit/a")


def test_workers_that_die_at_once_of_an_image_nobody_suspects_count_once(
    begin: Begin,
) -> None:
    units = ("one", "two", "three", "four")
    for unit in units:
        begin(unit, "a")

    assert [begin(unit, "a").condemned for unit in units] == [{}, {}, {}, {}]


def test_once_it_is_suspect_every_death_of_an_image_counts(begin: Begin) -> None:
    units = ("one", "two", "three", "four")
    for unit in units * 2:
        begin(unit, "a")

    assert begin("one", "a").condemned == {}
    assert begin("two", "a").condemned.keys() == {"a"}


def test_deaths_of_one_image_add_up_over_its_calls(begin: Begin) -> None:
    begin("one", "a")
    begin("one", "a")
    begin("two", "a")
    begin("two", "a")
    begin("three", "a")

    assert begin("three", "a").condemned.keys() == {"a"}


def test_a_call_that_ends_excuses_the_image(tracker: UnitTracker, begin: Begin) -> None:
    for _ in range(3):
        begin("one", "a")
    begin("two", "a")
    tracker.end("two")

    for _ in range(2):
        assert begin("one", "a").condemned == {}


def test_a_call_that_ends_in_another_stage_does_not_excuse(
    tracker: UnitTracker, begin: Begin
) -> None:
    for _ in range(3):
        begin("one", "a")
        tracker.begin("decode/one", "decode", ["a"], "here", 1)
        tracker.end("decode/one")

    assert begin("one", "a").condemned.keys() == {"a"}


def test_calls_that_a_condemned_image_left_behind_are_forgotten(
    tracker: UnitTracker, begin: Begin
) -> None:
    begin("unit/b", "b")
    for _ in range(4):
        begin("other/b", "b")

    begin("unit", "a", "b")

    assert [one.images for one in tracker.news().in_flight] == [("a",)]


def test_who_dies_with_its_node_does_not_die_of_its_image(begin: Begin) -> None:
    for _ in range(9):
        assert begin("unit/a", "a", node="lost").condemned == {}

    assert not begin("both", "a", "b").alone


def test_a_stage_that_loses_image_after_image_is_hopeless(
    tracker: UnitTracker,
) -> None:
    verdict = Verdict(False, {}, None)
    for key in "abcde":
        for _ in range(4):
            tracker.begin(f"decode/{key}", "decode", [key], "here", 1)
            tracker.end(f"decode/{key}")
            verdict = tracker.begin(f"fused/{key}", "fused", [key], "here", 1)

    assert verdict.hopeless == "e: its worker died 3 times in stage fused"
    assert tracker.begin("decode/z", "decode", ["z"], "here", 1).hopeless is None


def test_a_stage_in_which_a_call_ends_now_and_then_is_not_hopeless(
    tracker: UnitTracker, begin: Begin
) -> None:
    for key in "abcdefghij":
        for _ in range(4):
            assert begin(key, key).hopeless is None
        begin("well", "z")
        tracker.end("well")


def test_units_are_emitted_while_there_is_room(tracker: UnitTracker) -> None:
    assert [tracker.may_emit(0, number, 4) for number in range(3)] == [
        True,
        True,
        False,
    ]

    tracker.committed("x", 4)

    assert tracker.may_emit(0, 2, 4)
    assert not tracker.may_emit(1, 0, 4)


def test_a_unit_larger_than_the_room_is_emitted_alone(tracker: UnitTracker) -> None:
    assert tracker.may_emit(0, 0, 99)
    assert not tracker.may_emit(0, 1, 1)


def test_blocks_that_wait_for_others_hold_nobody_up() -> None:
    tracker = UnitTracker(3, room=4, slack=3)
    tracker.may_emit(0, 0, 3)  # three rows that wait for a fourth

    assert tracker.may_emit(0, 1, 9)
    assert not tracker.may_emit(0, 2, 1)


def test_a_wave_that_is_planned_again_is_not_counted_again(
    tracker: UnitTracker,
) -> None:
    assert tracker.may_emit(0, 0, 5)
    assert tracker.may_emit(0, 0, 5)

    assert tracker.may_emit(0, 1, 5)
    assert not tracker.may_emit(0, 2, 1)


def test_a_file_that_is_committed_twice_makes_room_once(tracker: UnitTracker) -> None:
    for number in range(2):
        tracker.may_emit(0, number, 5)
    for _ in range(2):
        tracker.committed("x", 5)

    assert tracker.may_emit(0, 2, 5)
    assert not tracker.may_emit(0, 3, 1)


def test_news_names_each_file_once_and_who_is_under_way(
    tracker: UnitTracker, begin: Begin
) -> None:
    begin("unit", *"abcdef")
    tracker.committed("x", 1)

    news = tracker.news()

    assert news.names == ("x",)
    assert tracker.news().names == ()
    (attempt,) = news.in_flight
    assert "fused of a, b, c and 3 more on node here, process 1" in attempt.told()
    tracker.end("unit")
    assert tracker.news().in_flight == ()
