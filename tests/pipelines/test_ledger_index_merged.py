from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from votes_made import FACTS, Counting, seen, told_by

from infra.local_store import LocalStore
from infra.object_store import Store, open_store
from pipelines.compact import compact
from pipelines.ledger import commit, vote_files
from pipelines.ledger_index import LedgerIndex
from pipelines.vote_rows import read_all_votes

Table = Callable[..., pa.Table]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


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
    assert told_by(index) == told_by(LedgerIndex(scattered, 0.25))


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
    assert told_by(early) == told_by(index)
    assert index.num_differing == votes.num_differing
    assert len(counting.reads) == reads  # type: ignore[attr-defined]


def test_files_merged_while_they_are_read_are_read_where_they_went(
    scattered: Store,
) -> None:
    index = LedgerIndex(Vanishing(Path(scattered.url)), 0.25)

    assert told_by(index) == told_by(LedgerIndex(scattered, 0.25))
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
