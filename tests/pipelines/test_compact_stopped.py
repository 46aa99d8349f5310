"""Merges that stop on their way, and writers that come too late."""

from pathlib import Path

import pytest
from votes_made import FACTS, blocks_of_image, votes_that_count

from infra.local_store import LocalStore
from infra.object_store import Store, open_store
from pipelines.compact import compact
from pipelines.ledger import commit, vote_files
from pipelines.ledger_index import LedgerIndex
from pipelines.merge import merged_name


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "out")


@pytest.fixture
def filled(store: Store) -> Store:
    """Return an OUT of 12 files of two blocks, three images long."""
    for image in "abc":
        for block in range(0, 8, 2):
            commit(store, blocks_of_image(block, block + 1, image=image), FACTS)
    return store


class Stopped(Exception):
    """Stands for a process that is killed."""


def test_a_merge_that_stops_before_it_removes_is_finished_by_the_next(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, removed = votes_that_count(filled), []

    def stop(_: LocalStore, name: str) -> None:
        if len(removed) == 3:
            raise Stopped
        removed.append(name)
        (Path(filled.url) / name).unlink()

    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "remove", stop)
        patched.setattr("pipelines.merge._REMOVERS", 1)
        with pytest.raises(Stopped):
            compact(filled.url)

    index = LedgerIndex(filled, 0.25)
    assert len(vote_files(filled, 0.25)) == 10
    assert (index.num_rows, index.num_blocks()) == (24, {"estimate": 24})
    assert votes_that_count(filled) == before
    assert compact(filled.url)[0].files_after == 1
    assert votes_that_count(filled) == before


def test_a_file_that_was_merged_and_is_written_again_is_passed_over(
    filled: Store,
) -> None:
    before = votes_that_count(filled)
    compact(filled.url)
    merged = vote_files(filled, 0.25)

    commit(
        filled, blocks_of_image(0, 1, count=2), FACTS
    )  # a writer that was thought dead

    index = LedgerIndex(filled, 0.25)
    assert (index.num_rows, index.num_differing) == (24, 0)
    assert index.files_of(["a"]) == [merged]
    compact(filled.url)
    assert vote_files(filled, 0.25) == merged
    assert votes_that_count(filled) == before


def test_nothing_is_removed_while_what_stands_for_it_is_broken(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.merge.remove_all", lambda store, names: None)
        compact(filled.url)
    merged, *files = vote_files(filled, 0.25)
    content = bytearray(filled.read(merged))
    content[20] ^= 1
    filled.write(merged, bytes(content))

    with pytest.raises(ValueError, match=merged):
        compact(filled.url)

    assert vote_files(filled, 0.25) == [merged, *files]
    filled.remove(merged)
    assert len(votes_that_count(filled)) == 24


def test_what_is_kept_otherwise_than_written_removes_nothing(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = vote_files(filled, 0.25)
    filled.write(merged_name(files), filled.read(files[0]))
    monkeypatch.setattr("pipelines.compact._remove_merged", lambda *_: None)
    monkeypatch.setattr(
        "pipelines.compact._by_first_image", lambda _: files, raising=True
    )

    with pytest.raises(OSError, match="other votes than were merged"):
        compact(filled.url)

    assert set(files) <= set(vote_files(filled, 0.25))
