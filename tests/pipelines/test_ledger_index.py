from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from votes_made import FACTS, MORE, Counting, seen, told_by

from infra.object_store import Store, open_store
from infra.tables import to_bytes
from pipelines.ledger import commit, vote_files
from pipelines.ledger_index import LedgerIndex
from pipelines.vote_rows import read_all_votes

Table = Callable[..., pa.Table]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def test_an_empty_out_has_no_blocks(store: Store) -> None:
    index = LedgerIndex(store, 0.25)

    assert seen(index) == set()
    assert (index.files, index.metadata, index.num_blocks()) == ([], (), {})
    assert (index.num_votes(10), len(index.images())) == (0, 0)
    assert index.files_of(["a"]) == [[]]


def test_what_is_present_is_what_all_votes_hold(scattered: Store) -> None:
    votes, index = read_all_votes(scattered, 0.25), LedgerIndex(scattered, 0.25)

    assert seen(index) == votes.done()
    assert sum(index.num_blocks().values()) == len(votes.rows)
    assert len(votes.rows) < index.num_rows  # some were found twice
    assert index.num_votes(10) == sum(
        1 if stream == "clean" else 10 for _, stream, _ in votes.done()
    )


def test_more_blocks_than_are_asked_for_are_not_shown(
    store: Store, vote_table: Table
) -> None:
    commit(store, vote_table(0, 2, 5), FACTS)

    index = LedgerIndex(store, 0.25)

    assert index.present(["a"], "estimate", 3).tolist() == [[True, False, True]]
    assert index.present(["a"], "estimate", 0).shape == (1, 0)
    assert index.present([], "estimate", 2).shape == (0, 2)


def test_a_block_before_the_first_is_none(store: Store, vote_table: Table) -> None:
    commit(store, vote_table(-1, -3, 1), FACTS)
    commit(store, vote_table(-1, stream="select"), FACTS)

    index = LedgerIndex(store, 0.25)

    assert seen(index) == {("a", "estimate", 1)}
    assert index.num_blocks() == {"estimate": 1}


def test_only_new_files_are_read_again(store: Store, vote_table: Table) -> None:
    counting = Counting(Path(store.url))
    first = commit(store, vote_table(0, 1), FACTS)
    index = LedgerIndex(counting, 0.25)
    index.refresh()

    second = commit(store, vote_table(2, image="b"), MORE)
    index.refresh()
    index.refresh()

    assert counting.reads == [first, second]  # type: ignore[attr-defined]
    assert told_by(index) == told_by(LedgerIndex(store, 0.25))


def test_an_index_that_grew_is_one_that_was_read_at_once(
    scattered: Store, tmp_path: Path
) -> None:
    growing = open_store(tmp_path / "growing")
    index = LedgerIndex(growing, 0.25)
    names = vote_files(scattered, 0.25)
    for number in np.random.default_rng(2).permutation(len(names)):
        growing.write(names[number], scattered.read(names[number]))
        index.refresh()

    assert told_by(index) == told_by(LedgerIndex(scattered, 0.25))


def test_files_come_in_the_order_they_count_whenever_they_came(
    store: Store, vote_table: Table
) -> None:
    folder = "votes/sigma_0.25"
    index = LedgerIndex(store, 0.25)
    for name in "cab":
        data = to_bytes(vote_table(0, 1), FACTS)
        store.write(f"{folder}/{name}.parquet", data)
        index.refresh()

    assert index.files_of(["a", "x"]) == [
        [f"{folder}/{name}.parquet" for name in "abc"],
        [],
    ]


def test_a_file_that_is_lost_is_no_longer_seen(store: Store, vote_table: Table) -> None:
    lost = commit(store, vote_table(0, 1), FACTS)
    commit(store, vote_table(2), FACTS)
    index = LedgerIndex(store, 0.25)

    store.remove(lost)
    index.refresh()

    assert seen(index) == {("a", "estimate", 2)}


def test_some_files_of_each_condition_are_known_each_once(
    store: Store, vote_table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.ledger_index._FILES_KEPT", 3)
    for block in range(5):
        commit(store, vote_table(block, conditions='{"batch": 1}'), FACTS)
    commit(store, vote_table(5, conditions='{"batch": 2}'), FACTS)
    commit(store, vote_table(6), FACTS)
    index = LedgerIndex(store, 0.25)
    index.refresh()

    assert sorted(index.conditions) == ['{"batch": 1}', '{"batch": 2}']
    assert [len(set(index.conditions[c])) for c in sorted(index.conditions)] == [3, 1]
    assert [len(index.conditions[c]) for c in sorted(index.conditions)] == [3, 1]


def test_failures_are_known_by_image(store: Store, vote_table: Table) -> None:
    commit(store, vote_table(0, 1), FACTS)
    commit(store, vote_table(0, image="b", failure="broken"), FACTS)

    assert LedgerIndex(store, 0.25).failures == {"b": "broken"}


def test_seconds_of_an_image_add_up(store: Store, vote_table: Table) -> None:
    commit(store, vote_table(0, 1), FACTS)
    commit(store, vote_table(2, seconds=2.0), FACTS)
    commit(store, vote_table(0, image="b", label=7), FACTS)

    assert LedgerIndex(store, 0.25).images().to_pylist() == [
        {"image_key": "a", "label": 3, "image_sha256": "aa", "seconds": 3.0},
        {"image_key": "b", "label": 7, "image_sha256": "bb", "seconds": 0.5},
    ]


def test_images_are_told_apart_by_the_streams_they_have(
    store: Store, vote_table: Table
) -> None:
    commit(store, vote_table(0, stream="predict"), FACTS)
    commit(store, vote_table(3, image="b"), FACTS)
    commit(store, vote_table(0, image="c", stream="clean"), FACTS)

    index = LedgerIndex(store, 0.25)

    assert index.keys_with(["clean", "estimate", "select"]) == ["b", "c"]
    assert index.keys_with([]) == []


def test_a_torn_file_is_refused_by_name(store: Store, vote_table: Table) -> None:
    name = commit(store, vote_table(0), FACTS)
    store.write(name, store.read(name)[:-20])

    with pytest.raises(ValueError, match=name):
        LedgerIndex(store, 0.25)
