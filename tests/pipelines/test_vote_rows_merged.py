from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from votes_made import FACTS, blocks_and_counts

from infra.local_store import LocalStore
from infra.object_store import Store, open_store
from pipelines.compact import compact
from pipelines.ledger import (
    BY_KEY,
    VOTES,
    commit,
    precedence,
    vote_files,
)
from pipelines.vote_rows import read_all_votes, read_votes

Table = Callable[..., pa.Table]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def contents(store: Store) -> dict[str, bytes]:
    return {name: store.read(name) for name in vote_files(store, 0.25)}


def put(store: Store, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        store.write(name, data)


class Hasty(LocalStore):
    """A store whose files are merged by somebody the first time one is read."""

    def read(self, name: str) -> bytes:
        if not hasattr(self, "merged"):
            object.__setattr__(self, "merged", True)
            compact(self.url)
        return super().read(name)


@pytest.mark.parametrize("wanted", [["i07"], ["i00", "i39"], ["i05", "j"], ["z"], []])
def test_of_a_merged_file_only_the_row_groups_of_the_images_are_read(
    store: Store,
    vote_table: Table,
    wanted: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infra.tables._ROWS_IN_GROUP", 8)
    keys = [f"i{image:02d}" for image in range(40)]
    for key in keys:
        commit(store, vote_table(0, 1, 2, image=key), FACTS)
    whole = read_all_votes(store, 0.25).rows.select(VOTES.names).sort_by(BY_KEY)
    compact(store.url)
    (merged,) = vote_files(store, 0.25)
    groups: list[int] = []
    file = type(store.open_parquet(merged))
    read_groups = file.read_row_groups

    def counted(self: Any, chosen: list[int]) -> pa.Table:
        groups.extend(chosen)
        return read_groups(self, chosen)

    monkeypatch.setattr(file, "read_row_groups", counted)

    found = read_votes(store, [merged], wanted).rows.select(VOTES.names)

    own = [key in wanted for key in whole["image_key"].to_pylist()]
    assert found.equals(whole.filter(pa.array(own)))
    held = {i * 3 // 8 for i, k in enumerate(keys) if k in wanted}
    held |= {(i * 3 + 2) // 8 for i, k in enumerate(keys) if k in wanted}
    assert set(groups) == held
    assert store.open_parquet(merged).num_row_groups == 15


def test_merging_changes_neither_votes_nor_what_is_known_of_them(
    store: Store, vote_table: Table
) -> None:
    for start in range(4):
        commit(store, vote_table(start, start + 1, count=4 + start), FACTS)
    before = read_all_votes(store, 0.25)

    compact(store.url)

    after = read_all_votes(store, 0.25)
    rows = [votes.rows.select(VOTES.names).sort_by(BY_KEY) for votes in (before, after)]
    assert rows[1].equals(rows[0])
    assert after.metadata == before.metadata
    assert (before.num_differing, after.num_differing) == (3, 0)


def test_files_that_a_merged_one_stands_for_count_after_it(
    store: Store, vote_table: Table
) -> None:
    for start in range(3):
        commit(store, vote_table(start, start + 1, count=4 + start), FACTS)
    small = contents(store)
    before = blocks_and_counts(read_all_votes(store, 0.25).rows)
    compact(store.url)
    put(store, small)  # the merge was killed before it removed them

    votes = read_all_votes(store, 0.25)

    assert blocks_and_counts(votes.rows) == before
    assert {precedence(name)[0] for name in set(votes.rows["file"].to_pylist())} == {
        False
    }


@pytest.mark.parametrize("merges", [1, 2])
def test_a_file_that_was_merged_since_it_was_listed_is_read_there(
    store: Store, vote_table: Table, merges: int
) -> None:
    for block in range(4):
        commit(store, vote_table(block, count=block), FACTS)
    listed = vote_files(store, 0.25)
    before = blocks_and_counts(read_votes(store, listed).rows)
    for number in range(merges):
        compact(store.url)
        commit(store, vote_table(9, image=f"b{number}"), FACTS)

    votes = read_votes(store, listed, ["a"])

    assert blocks_and_counts(votes.rows) == before
    assert read_votes(store, listed[:1], ["a"]).done() == votes.done()


def test_files_that_are_merged_while_they_are_read_are_read_once(
    store: Store, vote_table: Table
) -> None:
    for block in range(4):
        commit(store, vote_table(block), FACTS)
    listed = vote_files(store, 0.25)
    hasty = Hasty(Path(store.url))

    votes = read_votes(hasty, listed)

    assert blocks_and_counts(votes.rows) == [(block, 8) for block in range(4)]
    assert len(set(votes.rows["file"].to_pylist())) == 1


def test_a_file_that_is_gone_and_nobody_stands_for_is_missed(
    store: Store, vote_table: Table
) -> None:
    lost = commit(store, vote_table(0), FACTS)
    listed = vote_files(store, 0.25)
    store.remove(lost)

    with pytest.raises(FileNotFoundError, match=f"{lost}.*Put it back, or run again"):
        read_votes(store, listed)

    for block in (1, 2):
        commit(store, vote_table(block), FACTS)
    compact(store.url)
    with pytest.raises(FileNotFoundError, match=lost):
        read_votes(store, [*listed, *vote_files(store, 0.25)])


@pytest.mark.parametrize("half", ["first", "last"])
def test_a_torn_merged_file_is_refused_by_name(
    store: Store, vote_table: Table, half: str
) -> None:
    for block in range(4):
        commit(store, vote_table(block), FACTS)
    compact(store.url)
    (merged,) = vote_files(store, 0.25)
    data = store.read(merged)
    middle = len(data) // 4
    torn = (
        b"PAR1" + bytes(middle) + data[middle + 4 :] if half == "first" else data[:-9]
    )
    store.write(merged, torn)

    with pytest.raises(ValueError, match=merged):
        read_all_votes(store, 0.25)
