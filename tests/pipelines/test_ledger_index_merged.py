from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from infra.local_store import LocalStore
from infra.object_store import Store, open_store
from pipelines.compact import compact
from pipelines.ledger import commit, vote_files, vote_metadata
from pipelines.ledger_index import LedgerIndex
from pipelines.vote_rows import read_all_votes

Table = Callable[..., pa.Table]

FACTS = vote_metadata({"sigma": 0.25, "seed": 0}, {"sigma": 0.25}, "six")
MORE = vote_metadata({"sigma": 0.25, "seed": 0}, {"sigma": 0.25, "more": 1}, "six")
STREAMS = ("clean", "select", "estimate")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


@pytest.fixture
def scattered(store: Store, vote_table: Table) -> Store:
    """Return an OUT of many files with duplicates, some of which differ."""
    rng = np.random.default_rng(1)
    for _ in range(40):
        blocks = rng.choice(12, int(rng.integers(1, 6)), replace=False).tolist()
        votes = vote_table(
            *blocks,
            image=str(rng.choice(list("abcdefg"))),
            stream=str(rng.choice(STREAMS)),
            count=int(rng.integers(7, 9)),
            conditions=str(rng.choice(['{"batch": 1}', '{"batch": 2}'])),
        )
        commit(store, votes, FACTS if rng.integers(2) else MORE)
    return store


def seen(index: LedgerIndex) -> set[tuple[str, str, int]]:
    """Return all blocks an index says are there, of images it has and has not."""
    keys = ["unknown", *sorted(index.codes, reverse=True)]
    return {
        (keys[image], stream, int(block))
        for stream in (*STREAMS, "predict")
        for image, block in np.argwhere(index.present(keys, stream, 50))
    }


def same(one: LedgerIndex, other: LedgerIndex) -> None:
    keys = sorted(other.codes)
    assert seen(one) == seen(other)
    assert one.files_of(keys) == other.files_of(keys)
    assert one.num_blocks() == other.num_blocks()
    assert one.num_differing == other.num_differing
    assert one.conditions.keys() == other.conditions.keys()
    assert {str(m) for m in one.metadata} == {str(m) for m in other.metadata}
    assert one.images().to_pylist() == other.images().to_pylist()


class Counting(LocalStore):
    """A store that notes which contents are read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        object.__setattr__(self, "reads", [])

    def read(self, name: str) -> bytes:
        self.reads.append(name)  # type: ignore[attr-defined]
        return super().read(name)


class Vanishing(LocalStore):
    """A store whose files are merged by somebody while the first is read."""

    def read(self, name: str) -> bytes:
        if not hasattr(self, "merged"):
            object.__setattr__(self, "merged", True)
            compact(self.url)
        return super().read(name)


def test_merging_changes_nothing_but_the_files(
    scattered: Store, tmp_path: Path
) -> None:
    before, votes = LedgerIndex(scattered, 0.25), read_all_votes(scattered, 0.25)
    index = LedgerIndex(scattered, 0.25)

    compact(scattered.url, blocks_in_file=30)
    index.refresh()

    assert seen(index) == seen(before)
    assert index.num_blocks() == before.num_blocks()
    assert index.num_rows == len(votes.rows)
    assert index.num_differing == votes.num_differing > 0
    assert index.conditions.keys() == before.conditions.keys()
    same(index, LedgerIndex(scattered, 0.25))


def left_behind(store: Store, act: Callable[[], object]) -> Mapping[str, bytes]:
    """Do something, and put the vote files back that it removed."""
    before = {name: store.read(name) for name in vote_files(store, 0.25)}
    act()
    for name, data in before.items():
        store.write(name, data)
    return before


@pytest.mark.parametrize("merges", [1, 2])
def test_files_that_a_merged_one_stands_for_are_passed_over(
    scattered: Store, vote_table: Table, merges: int
) -> None:
    votes, early = read_all_votes(scattered, 0.25), LedgerIndex(scattered, 0.25)
    expected = votes.done()
    for number in range(merges):
        left_behind(scattered, lambda: compact(scattered.url))
        late = vote_table(number, image=f"late_{number}")
        commit(scattered, late, FACTS)
        early.refresh()
        expected.add((f"late_{number}", "estimate", number))
    counting = Counting(Path(scattered.url))
    index = LedgerIndex(counting, 0.25)
    reads = len(counting.reads)  # type: ignore[attr-defined]
    index.refresh()

    assert seen(index) == expected
    assert index.num_rows == early.num_rows == len(expected)
    same(early, index)
    assert index.num_differing == votes.num_differing
    assert len(counting.reads) == reads  # type: ignore[attr-defined]


def test_files_merged_while_they_are_read_are_read_where_they_went(
    scattered: Store,
) -> None:
    index = LedgerIndex(Vanishing(Path(scattered.url)), 0.25)

    same(index, LedgerIndex(scattered, 0.25))
    assert len(index.files) < 40


def test_a_merged_file_is_listed_once_however_many_rows_it_has(
    store: Store, vote_table: Table
) -> None:
    many = 1 << 16  # rows that are read at once
    for start in (0, many):
        blocks = range(start, start + many)
        commit(store, vote_table(*blocks, conditions='{"batch": 1}'), FACTS)
    compact(store.url)

    index = LedgerIndex(store, 0.25)

    assert index.num_rows == 2 * many
    assert index.conditions == {'{"batch": 1}': [0]}
