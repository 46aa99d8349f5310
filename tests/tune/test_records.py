import json
from pathlib import Path

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from tune.chosen import Choice
from tune.records import (
    Record,
    Rung,
    ended,
    read_certificates,
    read_records,
    write_certificates,
    write_record,
)
from tune.trial import Status

SEARCHED = Record(
    number=3,
    choice=Choice("smoothed", None, {"sigma": 1, "local.sigma": 0.1 + 0.2}),
    status="stopped",
    reason="",
    rungs=(Rung(64, 100 / 3), Rung(128, 1e-17)),
    cost=4.43e12 / 3,
    order=0,
    seconds=12.5,
)
BASELINE = Record(
    number=0,
    choice=Choice("", "DDS", {"sigma": 0}),
    status="failed",
    reason='No "weights" in größe.npz.',
    rungs=(),
    cost=1.0,
    order=2,
    seconds=0.0,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def numbered(number: int, order: int, status: Status = "finished") -> Record:
    """Return the record of a trial of its own choice."""
    choice = Choice("", None, {"sigma": number})
    return Record(number, choice, status, "", (), 1.0, order, 1.0)


@pytest.mark.parametrize("record", [SEARCHED, BASELINE])
def test_a_record_is_read_as_it_was_written(store: Store, record: Record) -> None:
    write_record(store, record)

    (found,) = read_records(store)

    assert found == record
    assert found.choice.key == record.choice.key


def test_records_come_in_the_order_in_which_the_trials_ended(store: Store) -> None:
    orders = {0: 2, 1: 0, 7: 3, 100_000: 1}
    for number, order in orders.items():
        write_record(store, numbered(number, order))

    assert [one.number for one in read_records(store)] == [1, 100_000, 0, 7]


def test_a_trial_that_ended_again_has_its_last_record_alone(store: Store) -> None:
    write_record(store, numbered(4, 0, "failed"))
    write_record(store, numbered(4, 1))

    assert read_records(store) == [numbered(4, 1)]


def test_a_store_without_trials_has_no_records(store: Store) -> None:
    assert read_records(store) == []


@pytest.mark.parametrize(
    "content", [b"", b'{"number": 3', b"[]", b"\xff\xfe", b"{}", b'{"number": 3}']
)
def test_a_damaged_record_is_refused_by_the_name_of_its_file(
    store: Store, content: bytes
) -> None:
    write_record(store, BASELINE)
    store.write("trials/00003.json", content)

    with pytest.raises(ValueError, match=r"trials/00003\.json.*Delete it"):
        read_records(store)


@pytest.mark.parametrize("field", ["number", "point", "status", "rungs", "order"])
def test_a_record_without_a_field_is_refused_by_its_name(
    store: Store, field: str
) -> None:
    write_record(store, SEARCHED)
    said = json.loads(store.read("trials/00003.json"))
    del said[field]
    store.write("trials/00003.json", json.dumps(said).encode())

    with pytest.raises(ValueError, match=rf"trials/00003\.json has no '{field}'"):
        read_records(store)


def test_certificates_lie_beside_the_record_and_are_read_as_written(
    store: Store,
) -> None:
    certificates = pa.table({"image_key": ["a", "b"], "radius": [0.1, 1 / 3]})
    write_record(store, numbered(3, 0))

    write_certificates(store, 3, certificates)

    assert read_certificates(store, 3).equals(certificates)
    assert read_records(store) == [numbered(3, 0)]


def test_all_that_ended_but_the_failed_need_not_be_tried_again() -> None:
    statuses: list[Status] = ["finished", "failed", "stopped", "refused"]
    records = [numbered(place, place, status) for place, status in enumerate(statuses)]

    found = ended(records)

    assert list(found.values()) == [records[0], *records[2:]]
    assert all(key == record.choice.key for key, record in found.items())


def test_keys_of_choices_differ_in_each_part_and_not_in_the_order_of_a_point() -> None:
    choice = Choice("a", "b", {"sigma": 0, "local.num": 1})
    others = [
        Choice("", "b", choice.point),
        Choice("a", None, choice.point),
        Choice("a", "b", {"sigma": 0, "local.num": 2}),
        Choice("a", "b", {"sigma": 0, "local.sigma": 1}),
    ]

    assert len({choice.key, *(one.key for one in others)}) == 5
    assert Choice("a", "b", {"local.num": 1, "sigma": 0}).key == choice.key
