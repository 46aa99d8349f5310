import io
import os
import pickle
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.local_store import LocalStore
from infra.object_store import S3Store, Store, open_store


@pytest.fixture(params=["local", "moto", "swift"])
def store(
    request: pytest.FixtureRequest,
    use_server: Callable[[dict[str, str]], None],
    tmp_path: Path,
) -> Store:
    """An empty place: a folder, or a prefix on a server."""
    if request.param == "local":
        return open_store(tmp_path / "out")
    use_server(request.getfixturevalue(f"{request.param}_server"))
    return open_store(f"s3://lab/{uuid.uuid4().hex}/out")


def test_what_is_written_is_read_and_replaced(store: Store) -> None:
    store.write("votes/a.parquet", b"one")
    assert store.read("votes/a.parquet") == b"one"
    store.write("votes/a.parquet", b"two")
    assert store.read("votes/a.parquet") == b"two"
    with store.open("votes/a.parquet") as file:
        file.seek(1)
        assert file.read() == b"wo"


def test_write_once_leaves_what_is_there(store: Store) -> None:
    assert store.write_once("votes/a", b"first") is True
    assert store.write_once("votes/a", b"second") is False
    assert store.read("votes/a") == b"first"


def write_together(store: Store, num_writers: int) -> list[bool]:
    """Return which of many writers of one name, each with its own bytes, wrote it."""
    together = Barrier(num_writers)

    def write(writer: int) -> bool:
        together.wait()
        return store.write_once("unit", content_of(writer))

    with ThreadPoolExecutor(num_writers) as pool:
        return list(pool.map(write, range(num_writers)))


def content_of(writer: int) -> bytes:
    return bytes([writer]) * 10_000


def test_of_many_writers_at_once_one_leaves_its_whole_content(store: Store) -> None:
    wrote = write_together(store, 6)

    assert store.names() == ["unit"]
    assert store.read("unit") in [content_of(w) for w in range(6) if wrote[w]]


# Swift looks before it writes, so two writers at the same moment may both succeed.
@pytest.mark.parametrize("store", ["local", "moto"], indirect=True)
def test_of_many_writers_at_once_exactly_one_wins(store: Store) -> None:
    assert write_together(store, 6).count(True) == 1


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 1), (3, 4), (0, 10), (9, 1), (4, 0), (10, 0)]
)
def test_a_part_is_what_it_is_of_the_whole(
    store: Store, offset: int, length: int
) -> None:
    store.write("shard", b"0123456789")
    part = store.read_range("shard", offset, length)
    assert part == b"0123456789"[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(0, 11), (9, 2), (10, 1), (99, 3)])
def test_a_part_beyond_the_end_is_refused(
    store: Store, offset: int, length: int
) -> None:
    store.write("shard", b"0123456789")
    with pytest.raises(ValueError, match=f"of the {length} bytes from {offset} on"):
        store.read_range("shard", offset, length)


def test_an_open_file_is_read_like_any_other(store: Store) -> None:
    whole = bytes(range(256)) * 40_000  # more than is fetched at once
    store.write("shard", whole)
    with store.open("shard") as file:
        assert file.read(3) == whole[:3]
        assert file.seek(9_000_000) == 9_000_000
        assert file.read(5) == whole[9_000_000:9_000_005]
        assert file.seek(-4, os.SEEK_END) == len(whole) - 4
        assert file.read(9) == whole[-4:]
        assert file.read() == b""
        file.seek(1)
        assert file.read() == whole[1:]


def test_parts_of_a_parquet_file_are_read(store: Store) -> None:
    table = pa.table({"label": range(100), "image": [b"x" * 1000] * 100})
    written = io.BytesIO()
    pq.write_table(table, written, row_group_size=10)
    store.write("data/test-00000.parquet", written.getvalue())
    with store.open_parquet("data/test-00000.parquet") as file:
        assert file.num_row_groups == 10
        assert file.read_row_group(4, columns=["label"]) == table[40:50].select([0])
    assert file.closed


def test_what_is_no_parquet_file_is_refused_by_name(store: Store) -> None:
    store.write("notes.parquet", b"no table at all")
    with pytest.raises(ValueError, match=r"whole Parquet files; .*/notes\.parquet has"):
        store.open_parquet("notes.parquet")


def test_names_are_sorted_recursive_and_begin_with_the_prefix(store: Store) -> None:
    for name in ("votes/b/c", "votes/a", "votes2", "manifest.json"):
        store.write(name, b"")
    assert store.names() == ["manifest.json", "votes/a", "votes/b/c", "votes2"]
    assert store.names("votes/") == ["votes/a", "votes/b/c"]
    assert store.names("votes") == ["votes/a", "votes/b/c", "votes2"]
    assert store.names("votes/b") == ["votes/b/c"]
    assert store.names("nothing/") == []


def test_a_half_written_file_has_no_name(store: Store) -> None:
    store.write("votes/.a.0123.tmp", b"half")
    store.write("votes/.hidden", b"whole")
    assert store.names() == ["votes/.hidden"]


def test_what_is_removed_is_gone_and_may_be_gone_already(store: Store) -> None:
    store.write("votes/a", b"one")
    store.write("votes/ab", b"two")
    store.remove("votes/a")
    store.remove("votes/a")
    assert store.names() == ["votes/ab"]
    assert store.write_once("votes/a", b"three") is True


def test_exists_tells_what_is_there_now(store: Store) -> None:
    assert not store.exists("a")
    store.write("a", b"")
    assert store.exists("a")
    assert not store.exists("b")


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.read("nothing"),
        lambda store: store.read_range("nothing", 0, 1),
        lambda store: store.open("nothing"),
        lambda store: store.open_parquet("nothing"),
    ],
    ids=["read", "read_range", "open", "open_parquet"],
)
def test_reading_a_missing_name_is_file_not_found(
    store: Store, read: Callable[[Store], object]
) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        read(store)


def test_names_may_have_any_characters(store: Store) -> None:
    names = sorted(
        ["a b", "a+b", "100%", "sch\u00f6n/\u2603.png", "what?x=1&y#z", "a%20b"]
    )
    for name in names:
        store.write(name, name.encode())
    assert store.names() == names
    assert [store.read(name).decode() for name in names] == names


@pytest.mark.parametrize("store", ["moto", "swift"], indirect=True)
def test_what_lies_beside_a_prefix_is_not_under_it(
    store: Store, request: pytest.FixtureRequest
) -> None:
    above, _, last = store.url.rpartition("/")
    beside = open_store(above)
    beside.write(last, b"an object named like the prefix")
    beside.write(f"{last}2/a", b"")
    assert store.names() == []
    beside.write(f"{last}/votes/", b"")  # the folder, as some clients make one
    beside.write(f"{last}/votes/a", b"")
    assert store.names() == ["votes/a"]


def test_long_lists_are_whole(
    moto_server: dict[str, str], use_server: Callable[[dict[str, str]], None]
) -> None:
    from moto.backends import get_backend

    use_server(moto_server)
    (account,) = get_backend("s3").values()
    for number in range(2_500):  # a server lists at most 1,000 in one answer
        account["aws"].put_object("lab", f"long/{number:04d}", b"")
    assert open_store("s3://lab/long").names() == [f"{n:04d}" for n in range(2_500)]


def test_a_writable_place_is_accepted_and_left_empty(store: Store) -> None:
    store.require_writable()
    assert store.names() == []


def test_a_store_travels_to_workers(store: Store) -> None:
    store.write("a", b"1")
    there = pickle.loads(pickle.dumps(store))
    assert there == store
    assert there.read("a") == b"1"
    assert open_store(store.url) == store


def test_a_place_is_known_by_its_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("runs/a") == LocalStore(tmp_path / "runs" / "a")
    assert open_store(f"file://{tmp_path}") == LocalStore(tmp_path)
    assert open_store("runs/a").local_path == tmp_path / "runs" / "a"
    assert open_store("s3://lab/runs/") == S3Store("lab/runs")
    assert open_store("s3://lab/runs").local_path is None


def test_credentials_in_a_place_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="without a user in it") as refused:
        open_store("s3://key:secret@lab/runs")
    assert "secret@" not in str(refused.value)


@pytest.mark.parametrize("uri", ["gs://lab/runs", "s3://", "http://host/runs"])
def test_other_places_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="needs to be a local path or s3://"):
        open_store(uri)
