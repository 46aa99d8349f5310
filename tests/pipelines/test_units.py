from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import product

import pytest

from infra.sources.entry import Entry
from pipelines.units import (
    BlockKey,
    Job,
    Unit,
    Wave,
    missing_jobs,
    nothing_voted,
    plan_units,
    votes_per_unit,
    wave_of,
)

BLOCK = 10
BLOCKS = {"clean": 1, "select": 2, "estimate": 30}
ENTRIES = [Entry(f"image_{index}", index % 10, index) for index in range(7)]
SPLITS = list(product((1, 10, 55, 400, 10**6), (1, 3, 100)))


def keys_of(jobs: Iterable[Job]) -> list[BlockKey]:
    return [(job.entry.key, job.stream, block) for job in jobs for block in job.blocks]


def all_keys(blocks: Mapping[str, int] = BLOCKS) -> set[BlockKey]:
    return {
        (entry.key, stream, block)
        for entry in ENTRIES
        for stream, num in blocks.items()
        for block in range(num)
    }


def without(done: Collection[BlockKey]) -> Wave:
    """Return the wave of what is asked for but what is done."""
    wave = nothing_voted(ENTRIES, BLOCKS)
    rows = {entry.key: row for row, entry in enumerate(ENTRIES)}
    for key, stream, block in done:
        wave.present[stream][rows[key], block] = True
    return wave


def planned(wave: Wave, unit_votes: int, actors: int) -> list[Unit]:
    limit = votes_per_unit(
        wave.num_missing_votes(BLOCK),
        block=BLOCK,
        unit_votes=unit_votes,
        num_actors=actors,
    )
    return list(plan_units(missing_jobs(wave), block=BLOCK, limit=limit))


def votes_of(unit: Unit) -> int:
    return sum(
        len(job.blocks) * (1 if job.stream == "clean" else BLOCK) for job in unit.jobs
    )


DONE = {("image_1", "estimate", 4), ("image_2", "clean", 0)} | {
    ("image_3", stream, b) for stream, num in BLOCKS.items() for b in range(num)
}


@pytest.mark.parametrize(("unit_votes", "actors"), SPLITS)
def test_units_hold_every_missing_block_exactly_once(
    unit_votes: int, actors: int
) -> None:
    units = planned(without(DONE), unit_votes, actors)

    found = Counter(key for unit in units for key in keys_of(unit.jobs))
    assert set(found) == all_keys() - DONE
    assert set(found.values()) == {1}
    assert all(unit.jobs for unit in units)


@pytest.mark.parametrize("num_images", [1, 3, 100])
def test_waves_cut_apart_hold_the_same_blocks(num_images: int) -> None:
    parts = without(DONE).incomplete().parts(num_images)

    found = [key for part in parts for key in keys_of(missing_jobs(part))]
    assert len(found) == len(set(found))
    assert set(found) == all_keys() - DONE
    assert all(len(part.entries) <= num_images for part in parts)


def test_an_image_of_which_nothing_is_missing_is_in_no_wave() -> None:
    kept = without(DONE).incomplete()

    assert "image_3" not in {entry.key for entry in kept.entries}
    assert len(kept.entries) == len(ENTRIES) - 1
    assert without(all_keys()).incomplete().entries == ()


def test_a_wave_counts_the_votes_it_misses() -> None:
    wave = without(DONE)

    num_votes = sum(map(votes_of, planned(wave, 55, 1)))
    assert wave.num_missing_votes(BLOCK) == num_votes
    assert num_votes == 7 * (1 + 320) - (1 + 320) - 10 - 1


def test_the_wave_of_a_unit_misses_just_its_blocks() -> None:
    for unit in planned(without(DONE), 55, 1):
        jobs = missing_jobs(wave_of(unit))
        assert sorted(keys_of(jobs)) == sorted(keys_of(unit.jobs))


@pytest.mark.parametrize(("unit_votes", "actors"), SPLITS)
def test_a_unit_holds_no_more_votes_than_asked_for_or_one_block(
    unit_votes: int, actors: int
) -> None:
    units = planned(nothing_voted(ENTRIES, BLOCKS), unit_votes, actors)

    assert max(map(votes_of, units)) <= max(BLOCK, unit_votes)


def test_every_actor_gets_several_units_where_there_are_enough() -> None:
    units = planned(nothing_voted(ENTRIES, BLOCKS), 10**6, 5)

    assert len(units) >= 4 * 5


def test_small_images_share_a_unit_and_none_is_torn() -> None:
    many = [Entry(f"image_{index}", 0, index) for index in range(30)]
    wave = nothing_voted(many, {"clean": 1, "select": 1})

    units = planned(wave, 40, 1)

    assert len(units) < 30
    owners = Counter(entry.key for unit in units for entry in unit.entries)
    assert set(owners.values()) == {1}


def test_nothing_is_planned_where_all_is_done() -> None:
    assert planned(without(all_keys()), 55, 1) == []


def test_the_images_of_a_unit_come_once_each_in_order() -> None:
    unit = Unit(tuple(missing_jobs(nothing_voted(ENTRIES[:2], BLOCKS))))

    assert [entry.key for entry in unit.entries] == ["image_0", "image_1"]


def test_the_name_of_a_unit_follows_from_its_blocks_alone() -> None:
    one = [unit.name for unit in planned(without(DONE), 55, 1)]
    relabelled = nothing_voted([Entry(e.key, 0, None) for e in ENTRIES], BLOCKS)
    wave = Wave(relabelled.entries, without(DONE).present)

    assert [unit.name for unit in planned(wave, 55, 1)] == one
    assert len(set(one)) == len(one)
