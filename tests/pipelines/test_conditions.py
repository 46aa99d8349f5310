import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from infra.sources.entry import Entry
from infra.tables import from_bytes
from pipelines.compact import compact
from pipelines.conditions import (
    BLOCKS_TRIED_AGAIN,
    other_conditions,
    refuse_if_strict,
    refuse_mixture_if_strict,
    share_of_flips,
    stored_conditions,
    unit_to_try_again,
)
from pipelines.ledger import commit, vote_metadata
from pipelines.ledger_index import LedgerIndex
from pipelines.recipe import Run
from pipelines.units import Unit
from pipelines.vote_rows import read_all_votes
from pipelines.worker import library_versions

Table = Callable[..., pa.Table]

FACTS = vote_metadata({}, {}, "six")
OLD, NEW = '{"batch": 1}', '{"batch": 2}'
ENTRIES = [Entry(f"i{image:03d}", 3, None) for image in range(120)]


@pytest.fixture
def store(tmp_path: Path, vote_table: Table) -> Store:
    """Return an OUT of 120 images, whose later blocks were cast under others."""
    store = open_store(tmp_path)
    for first in range(0, 120, 4):
        for blocks, conditions in (((0, 1), OLD), ((2, 3), NEW)):
            rows = [
                vote_table(*blocks, image=e.key, conditions=conditions)
                for e in ENTRIES[first : first + 4]
            ]
            commit(store, pa.concat_tables(rows), FACTS)
    return store


def keys_of(unit: Unit | None) -> list[tuple[str, str, int]]:
    assert unit is not None
    return [(j.entry.key, j.stream, block) for j in unit.jobs for block in j.blocks]


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize(("others", "blocks"), [([OLD], {0, 1}), ([NEW], {2, 3})])
def test_some_blocks_of_the_other_conditions_are_tried_again(
    store: Store, merged: bool, others: list[str], blocks: set[int]
) -> None:
    if merged:
        compact(store.url)
    index = LedgerIndex(store, 0.25)

    tried = keys_of(unit_to_try_again(store, index, others, ENTRIES))

    assert len(tried) == len(set(tried)) == BLOCKS_TRIED_AGAIN
    assert {block for _, _, block in tried} <= blocks
    assert len({key for key, _, _ in tried}) > BLOCKS_TRIED_AGAIN // 3


def test_few_files_are_read_to_find_them(
    store: Store, vote_table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = '{"batch": 3}'
    commit(store, vote_table(4, image="i077", conditions=rare), FACTS)
    index = LedgerIndex(store, 0.25)
    read: list[str] = []
    monkeypatch.setattr(
        "pipelines.vote_rows.from_bytes",
        lambda data, name: (read.append(name), from_bytes(data, name))[1],
    )

    unit_to_try_again(store, index, [OLD], ENTRIES)
    assert len(read) <= 2 * BLOCKS_TRIED_AGAIN + 1

    read.clear()
    unit_to_try_again(store, index, [rare], ENTRIES)
    assert len(read) == 3  # all that hold the one image


def test_a_block_of_an_image_that_is_hard_to_find_is_found(
    store: Store, vote_table: Table
) -> None:
    rare = '{"batch": 3}'
    commit(store, vote_table(4, image="i077", conditions=rare), FACTS)
    compact(store.url)
    index = LedgerIndex(store, 0.25)

    tried = keys_of(unit_to_try_again(store, index, [rare], ENTRIES))

    assert tried == [("i077", "estimate", 4)]


def test_nothing_is_tried_again_of_images_that_are_not_asked_for(
    store: Store, vote_table: Table
) -> None:
    other = '{"batch": 3}'
    commit(store, vote_table(0, image="else", conditions=other), FACTS)
    index = LedgerIndex(store, 0.25)

    assert unit_to_try_again(store, index, [other], ENTRIES) is None
    assert unit_to_try_again(store, index, [], ENTRIES) is None
    assert unit_to_try_again(store, index, [OLD], []) is None


def test_the_votes_that_flip_are_counted(store: Store, vote_table: Table) -> None:
    stored = read_all_votes(store, 0.25).rows
    again = [
        vote_table(0, image="i000", count=8),
        vote_table(1, image="i007", count=6),
    ]

    assert share_of_flips(stored, pa.concat_tables(again)) == 2 / 20
    assert share_of_flips(stored, again[0]) == 0


def test_conditions_are_listed_sorted_without_those_no_network_saw(
    store: Store, vote_table: Table
) -> None:
    commit(store, vote_table(9), FACTS)

    assert stored_conditions(LedgerIndex(store, 0.25)) == [OLD, NEW]


def test_a_strict_run_refuses_a_mixture(
    store: Store, run_of: Callable[..., Run]
) -> None:
    index = LedgerIndex(store, 0.25)

    refuse_mixture_if_strict(index, run_of(), "OUT")
    with pytest.raises(ValueError, match=r"OUT has .* at sigma 0\.25"):
        refuse_mixture_if_strict(index, run_of("strict=true"), "OUT")


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({}, False),
        ({"batch": 7}, True),
        ({"device": "GPU"}, True),
        ({"torch": "0"}, True),
    ],
)
def test_other_conditions_are_those_the_run_would_not_have(
    tmp_path: Path,
    vote_table: Table,
    run_of: Callable[..., Run],
    changed: dict[str, Any],
    differs: bool,
) -> None:
    run, store = run_of(), open_store(tmp_path)
    ours = {"batch": run.batch, "compile": run.compile, "device": "cpu"}
    conditions = json.dumps({**ours, **library_versions(), **changed})
    commit(store, vote_table(0, conditions=conditions), FACTS)

    others = other_conditions(LedgerIndex(store, 0.25), run, use_gpu=False)

    assert others == ([conditions] if differs else [])
    refuse_if_strict(others, run, "OUT")
    if differs:
        with pytest.raises(ValueError, match="strict: true; OUT has votes made under"):
            refuse_if_strict(others, run_of("strict=true"), "OUT")
