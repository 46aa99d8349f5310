"""Readers and writers at work while the files under them are merged."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from pipelines.compact import compact
from pipelines.ledger import VOTES, commit, folder, vote_files, vote_metadata
from pipelines.ledger_index import LedgerIndex
from pipelines.vote_rows import opened, read_all_votes, read_votes

FACTS = vote_metadata({"sigma": 0.25}, {"sigma": 0.25}, "six")
IMAGES, BLOCKS_OF_FILE = 4, 3
FILES_OF_IMAGE = {"local": 10, "moto": 4}
ROUNDS = (5, 20, 10_000)
"""Blocks of the files of each merge: what one merged, the next merges again."""

PAUSE_SECONDS = 0.01
"""Between two looks, as a server in this process has to get its turn too."""


def unit(image: int, *blocks: int) -> pa.Table:
    rows = [
        {
            "sigma": 0.25,
            "image_key": f"image_{image}",
            "label": 3,
            "stream": "estimate",
            "block": block,
            "counts": [{"class": image, "count": 10}],
            "invalid": 0,
            "seconds": 0.5,
            "conditions": "{}",
        }
        for block in blocks
    ]
    return pa.Table.from_pylist(rows, VOTES)


@pytest.fixture(params=["local", "moto"])
def store(
    request: pytest.FixtureRequest,
    use_server: Callable[[dict[str, str]], None],
    tmp_path: Path,
) -> Store:
    """Return a folder, or a prefix on a server, of many vote files."""
    place = str(tmp_path / "out")
    if request.param == "moto":
        use_server(request.getfixturevalue("moto_server"))
        place = f"s3://lab/{uuid.uuid4().hex}/out"
    store = open_store(place)
    for image in range(IMAGES):
        for file in range(FILES_OF_IMAGE[request.param]):
            first = file * BLOCKS_OF_FILE
            commit(store, unit(image, *range(first, first + BLOCKS_OF_FILE)), FACTS)
    return store


@contextmanager
def at_once(*works: Callable[[], None]) -> Iterator[None]:
    """Do some works over and over while the body runs; raise what they raise."""
    stop, errors = threading.Event(), []

    def repeat(work: Callable[[], None]) -> None:
        while not stop.wait(PAUSE_SECONDS):
            try:
                work()
            except (AssertionError, ValueError, OSError) as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []


def test_readers_meet_every_block_once_while_others_merge(store: Store) -> None:
    listed, looked = vote_files(store, 0.25), {"fresh": 0, "kept": 0, "rows": 0}
    kept = LedgerIndex(store, 0.25)
    num_blocks = kept.num_rows

    def fresh_index() -> None:
        index = LedgerIndex(store, 0.25)
        assert (index.num_rows, index.num_blocks()) == (
            num_blocks,
            {"estimate": num_blocks},
        )
        looked["fresh"] += 1

    def kept_index() -> None:
        kept.refresh()
        assert (kept.num_rows, kept.num_blocks()) == (
            num_blocks,
            {"estimate": num_blocks},
        )
        looked["kept"] += 1

    def old_list() -> None:
        votes = read_votes(store, listed)
        assert (len(votes.rows), votes.num_differing) == (num_blocks, 0)
        keys = [f"image_{looked['rows'] % IMAGES}"]
        votes = read_votes(store, listed, keys=keys)
        assert len(votes.rows) == num_blocks // IMAGES
        looked["rows"] += 1

    with at_once(fresh_index, kept_index, old_list):
        for blocks_in_file in ROUNDS:
            compact(store.url, blocks_in_file=blocks_in_file)

    assert len(vote_files(store, 0.25)) == 1
    assert min(looked.values()) >= 2


def test_votes_that_are_committed_while_others_merge_are_kept(store: Store) -> None:
    written, num_blocks = [], LedgerIndex(store, 0.25).num_rows

    def write() -> None:
        written.append(commit(store, unit(IMAGES, len(written)), FACTS))

    with at_once(write):
        for blocks_in_file in ROUNDS:
            compact(store.url, blocks_in_file=blocks_in_file)

    rows = read_all_votes(store, 0.25).rows
    own = rows.filter(pa.compute.equal(rows["image_key"], f"image_{IMAGES}"))
    assert sorted(own["block"].to_pylist()) == list(range(len(written)))
    assert len(rows) == num_blocks + len(written)


def test_two_merges_at_once_lose_no_vote(store: Store) -> None:
    num_blocks = LedgerIndex(store, 0.25).num_rows

    def merge() -> None:
        compact(store.url, blocks_in_file=20)

    with at_once(merge):
        for blocks_in_file in ROUNDS:
            compact(store.url, blocks_in_file=blocks_in_file)
    compact(store.url)

    votes = read_all_votes(store, 0.25)
    assert (len(votes.rows), votes.num_differing) == (num_blocks, 0)


def test_a_list_taken_while_files_were_merged_is_taken_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, listed = type(store).names, []

    def torn(self: Store, prefix: str = "") -> list[str]:
        """List as one that passes the new name before it is there."""
        if listed or prefix != f"{folder(0.25)}/":
            return whole(self, prefix)
        listed.append(prefix)
        before = whole(self, prefix)
        compact(self.url)
        return sorted({*before} & {*whole(self, prefix)})

    num_rows = LedgerIndex(store, 0.25).num_rows
    monkeypatch.setattr(type(store), "names", torn)

    assert LedgerIndex(store, 0.25).num_rows == num_rows
    assert len(listed) == 1


def test_a_file_that_goes_while_it_is_read_is_told_as_gone(store: Store) -> None:
    compact(store.url)
    (name,) = vote_files(store, 0.25)

    def read() -> int:
        with opened(store, name) as (file, _):
            store.remove(name)
            return len(file.read())

    if store.local_path is not None:
        assert read() > 0  # this machine keeps what is open
        return
    with pytest.raises(FileNotFoundError, match="merged-"):
        read()
