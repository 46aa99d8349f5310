from collections import Counter
from collections.abc import Sequence
from itertools import product

import pytest

from infra.sources.entry import Entry
from pipelines.units import (
    BlockKey,
    Job,
    Unit,
    blocks_for_certify,
    missing_jobs,
    plan_units,
)

BLOCK = 10
BLOCKS = {"clean": 1, "select": 2, "estimate": 30}
ENTRIES = [Entry(f"image_{index}", index % 10, index) for index in range(7)]
SPLITS = list(product((1, 10, 55, 400, 10**6), (1, 3, 100)))


def keys_of(jobs: Sequence[Job]) -> list[BlockKey]:
    return [(job.entry.key, job.stream, block) for job in jobs for block in job.blocks]


def planned(jobs: Sequence[Job], unit_votes: int, actors: int) -> list[Unit]:
    return plan_units(jobs, block=BLOCK, unit_votes=unit_votes, num_actors=actors)


def votes_of(unit: Unit) -> int:
    return sum(
        len(job.blocks) * (1 if job.stream == "clean" else BLOCK) for job in unit.jobs
    )


@pytest.mark.parametrize(("unit_votes", "actors"), SPLITS)
def test_units_hold_every_missing_block_exactly_once(
    unit_votes: int, actors: int
) -> None:
    done = {("image_1", "estimate", 4), ("image_2", "clean", 0)}
    done |= {
        ("image_3", stream, b) for stream, num in BLOCKS.items() for b in range(num)
    }
    jobs = missing_jobs(ENTRIES, BLOCKS, done)

    units = planned(jobs, unit_votes, actors)

    found = Counter(key for unit in units for key in keys_of(unit.jobs))
    wanted = {
        (entry.key, stream, block)
        for entry in ENTRIES
        for stream, num in BLOCKS.items()
        for block in range(num)
    } - done
    assert set(found) == wanted
    assert set(found.values()) == {1}
    assert all(unit.jobs for unit in units)


@pytest.mark.parametrize(("unit_votes", "actors"), SPLITS)
def test_a_unit_holds_no_more_votes_than_asked_for_or_one_block(
    unit_votes: int, actors: int
) -> None:
    units = planned(missing_jobs(ENTRIES, BLOCKS, set()), unit_votes, actors)

    assert max(map(votes_of, units)) <= max(BLOCK, unit_votes)


def test_every_actor_gets_several_units_where_there_are_enough() -> None:
    units = planned(missing_jobs(ENTRIES, BLOCKS, set()), 10**6, 5)

    assert len(units) >= 4 * 5


def test_small_images_share_a_unit_and_none_is_torn() -> None:
    many = [Entry(f"image_{index}", 0, index) for index in range(30)]
    jobs = missing_jobs(many, {"clean": 1, "select": 1}, set())

    units = planned(jobs, 40, 1)

    holders = Counter(entry.key for unit in units for entry in unit.entries)
    assert set(holders.values()) == {1}
    assert len(units) == 10


def test_nothing_missing_is_no_unit() -> None:
    done = {("image_0", "select", 0)}

    assert missing_jobs(ENTRIES[:1], {"select": 1}, done) == []
    assert planned([], 10, 1) == []


def test_a_unit_lists_each_of_its_images_once() -> None:
    unit = Unit(tuple(missing_jobs(ENTRIES[:2], BLOCKS, set())))

    assert unit.entries == ENTRIES[:2]


def test_a_certificate_reads_one_clean_copy_and_whole_blocks() -> None:
    assert blocks_for_certify(100, 10_000, 100) == {
        "clean": 1,
        "select": 1,
        "estimate": 100,
    }
