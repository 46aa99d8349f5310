from collections.abc import Mapping, Sequence

import pytest

from infra.meters import Meters
from pipelines.attempts import Attempts, ToObject, call_name
from pipelines.unit_tracker import LOST_IN_A_ROW, UnitTracker


class Died(Exception):
    """Stands for the end of a process."""


class Worker:
    """Works on images and dies of some, as often as it is asked."""

    def __init__(self, *deadly: str) -> None:
        self.tracker = UnitTracker(3, 10, is_alive=lambda _: True)
        self.attempts = Attempts(ToObject(self.tracker), Meters("test", "fused", 0.5))
        self.deadly = deadly
        self.calls: list[tuple[str, ...]] = []
        self.aside: dict[str, str] = {}

    def work(self, keys: Sequence[str]) -> tuple[str, ...]:
        self.calls.append(tuple(keys))
        if set(keys) & set(self.deadly):
            raise Died
        return tuple(keys)

    def set_aside(self, condemned: Mapping[str, str]) -> None:
        self.aside |= condemned

    def until_it_ends(self, call: str, *images: str) -> list[str]:
        """Repeat a call as Ray does; return the images that were worked on."""
        while True:
            try:
                parts = self.attempts.survived(call, images, self.work, self.set_aside)
                return [key for part in parts for key in part]
            except Died:
                continue


def test_a_call_that_survives_is_made_once() -> None:
    worker = Worker()

    assert worker.until_it_ends("unit", "a", "b", "c") == ["a", "b", "c"]
    assert worker.calls == [("a", "b", "c")]
    assert worker.aside == {}


def test_only_the_deadly_image_is_set_aside_and_the_others_end() -> None:
    worker = Worker("b")

    assert worker.until_it_ends("unit", "a", "b", "c") == ["a", "c"]

    assert worker.aside.keys() == {"b"}
    assert "died 3 times in stage fused" in worker.aside["b"]
    assert worker.calls.count(("a", "b", "c")) == 1
    assert worker.calls.count(("b",)) == 3


def test_a_condemned_image_is_not_tried_in_other_units() -> None:
    worker = Worker("b")
    worker.until_it_ends("one", "a", "b")
    before = len(worker.calls)

    assert worker.until_it_ends("two", "b", "d") == ["d"]
    assert worker.calls[before:] == [("d",)]


def test_two_deadly_images_of_one_unit_are_both_found() -> None:
    worker = Worker("a", "c")

    assert worker.until_it_ends("unit", *"abcd") == ["b", "d"]
    assert worker.aside.keys() == {"a", "c"}


def test_a_run_in_which_everything_is_deadly_ends_with_the_reason() -> None:
    worker = Worker(*"abcdefgh")

    with pytest.raises(ValueError, match="images that its workers survive"):
        worker.until_it_ends("unit", *"abcdefgh")

    assert len(worker.aside) <= LOST_IN_A_ROW


def test_the_name_of_a_call_follows_from_its_blocks() -> None:
    rows = [("a", "estimate", 0), ("a", "estimate", 1)]

    assert call_name(rows) == call_name([list(row) for row in rows])
    assert call_name(rows) != call_name(rows[:1])
