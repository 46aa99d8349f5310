import pickle
from typing import Any

from infra.sources.entry import Entry
from pipelines.attempts import ToObject
from pipelines.unit_tracker import UnitTracker
from pipelines.units import Unit, missing_jobs, nothing_voted, plan_units
from pipelines.waves import ExpandWaves

ENTRIES = [Entry(f"image_{index}", 0, index) for index in range(9)]
WAVE = nothing_voted(ENTRIES, {"select": 3})


def batch(*numbers: int) -> dict[str, list[Any]]:
    return {"number": list(numbers), "wave": [pickle.dumps(WAVE)] * len(numbers)}


def units(rows: Any) -> list[Unit]:
    return [pickle.loads(payload) for row in rows for payload in row["unit"]]


def test_waves_become_the_units_the_driver_would_have_planned() -> None:
    expand = ExpandWaves(10, 50, ToObject(UnitTracker(3, 10**6)))

    planned = list(plan_units(missing_jobs(WAVE), block=10, limit=50))
    assert units(expand(batch(0))) == planned
    assert units(expand(batch(1, 2))) == planned * 2


def test_units_come_no_faster_than_they_are_committed() -> None:
    tracker = UnitTracker(3, room=6)
    rows = ExpandWaves(10, 30, ToObject(tracker))(batch(0))

    taken = units([next(rows), next(rows)])

    assert not tracker.may_emit(0, 2, 3)
    tracker.committed("first", 3)
    taken += units([next(rows)])
    assert [unit.num_blocks for unit in taken] == [3, 3, 3]
    assert not tracker.may_emit(0, 3, 3)
