import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from infra.local_store import LocalStore
from infra.object_store import S3Store, Store, open_store


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket on a local S3 server, known through the environment."""
    server_module = pytest.importorskip("moto.server", reason="moto is not installed")
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    import fsspec

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="lab")
        yield "lab"
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return open_store(tmp_path / "out")
    return open_store(f"s3://{request.getfixturevalue('bucket')}/{tmp_path.name}")


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


def test_of_many_writers_at_once_exactly_one_wins(store: Store) -> None:
    num_writers = 6
    together = Barrier(num_writers)

    def write(writer: int) -> bool:
        together.wait()
        return store.write_once("unit", bytes([writer]) * 10_000)

    with ThreadPoolExecutor(num_writers) as pool:
        wrote = list(pool.map(write, range(num_writers)))

    assert wrote.count(True) == 1
    assert store.read("unit") == bytes([wrote.index(True)]) * 10_000
    assert store.names() == ["unit"]


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


def test_exists_tells_what_is_there_now(store: Store) -> None:
    assert not store.exists("a")
    store.write("a", b"")
    assert store.exists("a")
    assert not store.exists("b")


def test_reading_a_missing_name_is_file_not_found(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("nothing")


def test_a_writable_place_is_accepted_and_left_empty(store: Store) -> None:
    store.require_writable()
    assert store.names() == []


def test_a_store_travels_to_workers(store: Store) -> None:
    store.write("a", b"1")
    there = pickle.loads(pickle.dumps(store))
    assert there == store
    assert there.read("a") == b"1"
    assert open_store(store.url) == store


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"needs a place it can write.*file/out"):
        open_store(tmp_path / "file" / "out").require_writable()


def test_a_missing_bucket_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match="s3://not-lab/out answers"):
        open_store(f"s3://not-{bucket}/out").require_writable()


def test_a_failed_write_leaves_no_file_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        open_store(tmp_path).write("taken", b"data")
    assert os.listdir(tmp_path) == ["taken"]


def test_local_files_have_the_permissions_the_user_chose(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    open_store(tmp_path).write("ours", b"")
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode


def test_listing_follows_linked_folders(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.png").write_bytes(b"")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "n01440764").symlink_to(tmp_path / "disk")
    assert open_store(tmp_path / "data").names() == ["n01440764/a.png"]


def test_a_place_is_known_by_its_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("runs/a") == LocalStore(tmp_path / "runs" / "a")
    assert open_store(f"file://{tmp_path}") == LocalStore(tmp_path)
    assert open_store("runs/a").local_path == tmp_path / "runs" / "a"
    assert open_store("s3://lab/runs/") == S3Store("lab/runs")
    assert open_store("s3://lab/runs").local_path is None


@pytest.mark.parametrize("uri", ["gs://lab/runs", "s3://", "http://host/runs"])
def test_other_places_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="needs to be a local path or s3://"):
        open_store(uri)
