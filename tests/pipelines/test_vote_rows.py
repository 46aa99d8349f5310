from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from votes_made import FACTS, blocks_and_counts

from infra.object_store import Store, open_store
from infra.tables import to_bytes
from pipelines.identity import vote_identity
from pipelines.ledger import (
    BY_KEY,
    VOTES,
    commit,
    require_identity,
    vote_files,
)
from pipelines.recipe import Run
from pipelines.vote_rows import read_all_votes, read_votes

Table = Callable[..., pa.Table]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def test_rows_say_which_file_they_are_of(store: Store, vote_table: Table) -> None:
    name = commit(store, vote_table(0, 1), FACTS)

    votes = read_all_votes(store, 0.25)

    assert votes.rows.select(VOTES.names).equals(vote_table(0, 1))
    assert votes.rows["file"].to_pylist() == [name, name]
    assert votes.done() == {("a", "estimate", 0), ("a", "estimate", 1)}
    assert [f["vote_identity"] for f in votes.metadata] == [FACTS["vote_identity"]]


def test_an_empty_out_has_no_votes(store: Store) -> None:
    votes = read_all_votes(store, 0.25)

    assert (votes.done(), votes.metadata, votes.num_differing) == (set(), (), 0)


def test_a_block_found_twice_counts_once(store: Store, vote_table: Table) -> None:
    commit(store, vote_table(0, 1), FACTS)
    commit(store, vote_table(1, 2), FACTS)

    votes = read_all_votes(store, 0.25)

    assert blocks_and_counts(votes.rows) == [(0, 8), (1, 8), (2, 8)]
    assert votes.num_differing == 0


@pytest.mark.parametrize("counts", [(8, 3), (3, 8)])
def test_of_differing_duplicates_the_smallest_file_name_wins(
    store: Store, vote_table: Table, counts: tuple[int, int]
) -> None:
    rows = [
        pa.concat_tables([vote_table(0, count=count), vote_table(1 + i)])
        for i, count in enumerate(counts)
    ]
    written = {
        commit(store, table, FACTS): count
        for table, count in zip(rows, counts, strict=True)
    }

    votes = read_all_votes(store, 0.25)

    assert blocks_and_counts(votes.rows)[0] == (0, written[min(written)])
    assert votes.num_differing == 1


def test_the_caller_says_which_file_counts_first(
    store: Store, vote_table: Table
) -> None:
    names = [
        commit(store, pa.concat_tables([vote_table(0, count=n), vote_table(n)]), FACTS)
        for n in (5, 6, 7)
    ]

    for order in (names, names[::-1]):
        first = 5 if order is names else 7
        votes = read_votes(store, order)
        assert blocks_and_counts(votes.rows)[0] == (0, first)
        assert votes.num_differing == 2


def test_time_and_conditions_make_no_duplicate_differ(
    store: Store, vote_table: Table
) -> None:
    commit(store, vote_table(0, 1), FACTS)
    commit(store, vote_table(0, seconds=7.0, conditions='{"batch": 1}'), FACTS)

    assert read_all_votes(store, 0.25).num_differing == 0


def test_votes_for_no_class_make_a_duplicate_differ(
    store: Store, vote_table: Table
) -> None:
    commit(store, vote_table(0, 1), FACTS)
    commit(store, vote_table(0, invalid=1), FACTS)

    assert read_all_votes(store, 0.25).num_differing == 1


def test_only_the_images_asked_for_are_read(store: Store, vote_table: Table) -> None:
    rows = [vote_table(0, image=image) for image in "abc"]
    commit(store, pa.concat_tables(rows), FACTS)
    commit(store, vote_table(1, image="c"), FACTS)
    files = vote_files(store, 0.25)

    assert read_votes(store, files, ["c", "x"]).done() == {
        ("c", "estimate", 0),
        ("c", "estimate", 1),
    }
    assert read_votes(store, files, []).done() == set()


def test_a_torn_file_is_refused_by_name(store: Store, vote_table: Table) -> None:
    name = commit(store, vote_table(0), FACTS)
    store.write(name, store.read(name)[:-20])

    with pytest.raises(ValueError, match=name) as refused:
        read_all_votes(store, 0.25)
    assert "Delete that file and run again" in str(refused.value)


def test_votes_of_half_runs_add_up(
    run_of: Callable[..., Run], cast: Callable[..., Any], tmp_path: Path
) -> None:
    run = run_of()
    whole, halves = open_store(tmp_path / "1"), open_store(tmp_path / "2")
    cast(run, tmp_path / "1")

    cast(run, tmp_path / "2", {"select": 1})
    cast(run_of("stages.unit_votes=10"), tmp_path / "2", {"select": 1, "estimate": 1})
    cast(run_of("batch=5"), tmp_path / "2")

    assert _votes(halves) == _votes(whole)
    assert sum(row["stream"] == "estimate" for row in _votes(halves)) == 3 * 2
    require_identity(read_all_votes(halves, 0.25).metadata, vote_identity(run), "OUT")


def _votes(store: Store) -> Sequence[dict[str, Any]]:
    names = ["image_key", "stream", "block", "counts", "invalid", "image_sha256"]
    return read_all_votes(store, 0.25).rows.select(names).sort_by(BY_KEY).to_pylist()


def test_many_rows_are_told_apart_as_one_by_one(
    store: Store, vote_table: Table
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(12):
        blocks = rng.choice(9, 4, replace=False).tolist()
        votes = vote_table(
            *blocks, image=rng.choice(["a", "b"]), count=int(rng.integers(9))
        )
        data = to_bytes(votes, FACTS)
        store.write(f"votes/sigma_0.25/{rng.bytes(4).hex()}.parquet", data)
    files = vote_files(store, 0.25)
    first: dict[tuple, tuple] = {}
    num_differing = 0
    for name in files:
        for row in read_votes(store, [name]).rows.to_pylist():
            key = row["image_key"], row["stream"], row["block"]
            votes = row["counts"], row["invalid"]
            num_differing += first.setdefault(key, votes) != votes

    found = read_votes(store, files)

    rows = found.rows.to_pylist()
    assert {
        (r["image_key"], r["stream"], r["block"]): (r["counts"], r["invalid"])
        for r in rows
    } == first
    assert (len(rows), found.num_differing) == (len(first), num_differing)
