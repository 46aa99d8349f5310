import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra import temporaries
from infra.object_store import Store, open_store
from infra.temporaries import (
    ABANDONED_SECONDS,
    is_abandoned,
    is_temporary,
    temporary_name,
)

STOPS_HALF_WAY = """
import os, sys, time
from infra.object_store import open_store

def never(*_):
    print("half-written", flush=True)
    time.sleep(600)

os.replace = never
open_store(sys.argv[1]).write("votes/a.parquet", b"votes")
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is in the middle of a write."""
    with subprocess.Popen(
        [sys.executable, "-c", STOPS_HALF_WAY, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half-written\n"
        yield process
        process.kill()


def age(path: Path) -> None:
    """Make a file look as if it had not been written for more than a day."""
    moment = path.stat().st_mtime - ABANDONED_SECONDS - 60
    os.utime(path, (moment, moment))


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    return path


def of_another_machine(name: str) -> str:
    """Return a temporary name as another machine gives it, with our process number."""
    ours = temporaries.temporary_name(name)
    _, _, machine, process, mark, ending = ours.rsplit(".", 5)
    return f".{name}.node7-{machine[-8:]}.{process}.{mark}.{ending}"


def test_what_a_killed_writer_left_is_removed_and_only_then(
    tmp_path: Path, writer: subprocess.Popen[str]
) -> None:
    store = open_store(tmp_path)
    store.write("votes/b.parquet", b"whole")
    (half,) = (tmp_path / "votes").glob(".*.tmp")

    assert store.sweep() == 0
    assert half.exists()

    writer.kill()
    writer.wait()
    assert store.sweep() == 1
    assert os.listdir(tmp_path / "votes") == ["b.parquet"]


def test_a_writer_of_another_machine_has_a_day(tmp_path: Path) -> None:
    half = make(tmp_path / "votes" / of_another_machine("a.parquet"))

    assert open_store(tmp_path).sweep() == 0
    age(half)
    assert open_store(tmp_path).sweep() == 1
    assert not half.exists()


def test_process_numbers_count_only_where_they_mean_the_same_process(
    tmp_path: Path,
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    ours = temporary_name("a").replace(f".{os.getpid()}.", f".{ended.pid}.")
    theirs = of_another_machine("a").replace(f".{os.getpid()}.", f".{ended.pid}.")

    assert is_abandoned(make(tmp_path / ours))
    assert not is_abandoned(make(tmp_path / theirs))


@pytest.mark.parametrize("name", [".a.{}.tmp", ".probe-{}.tmp"])
def test_names_that_do_not_say_who_writes_are_swept_by_age(
    tmp_path: Path, name: str
) -> None:
    half = make(tmp_path / name.format(uuid.uuid4().hex))

    assert open_store(tmp_path).sweep() == 0
    age(half)
    assert open_store(tmp_path).sweep() == 1


@pytest.mark.parametrize(
    "name", [".editor.tmp", "a.parquet", "notes.tmp", f".a.{'0' * 32}.parquet"]
)
def test_what_is_not_ours_or_whole_is_never_swept(tmp_path: Path, name: str) -> None:
    age(make(tmp_path / name))

    assert open_store(tmp_path).sweep() == 0
    assert os.listdir(tmp_path) == [name]


def test_only_what_lies_under_the_prefix_is_swept(tmp_path: Path) -> None:
    for folder in ("votes", "report"):
        age(make(tmp_path / folder / of_another_machine("a")))
    store = open_store(tmp_path)

    assert store.sweep("votes/") == 1
    assert store.sweep("nothing/") == 0
    assert store.sweep() == 1


def test_a_half_written_name_is_no_name_of_a_content(tmp_path: Path) -> None:
    name = temporary_name("a.parquet")
    make(tmp_path / name)

    assert is_temporary(f"votes/{name}")
    assert f".{os.getpid()}." in name
    assert open_store(tmp_path).names() == []


@pytest.mark.parametrize("server", ["moto", "swift"])
def test_in_a_bucket_probes_are_swept_after_a_day(
    server: str,
    request: pytest.FixtureRequest,
    use_server: Callable[[dict[str, str]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_server(request.getfixturevalue(f"{server}_server"))
    store: Store = open_store(f"s3://lab/{uuid.uuid4().hex}/out")
    store.write(f".probe-{uuid.uuid4().hex}.tmp", b"")
    store.write(".probe-of-mine", b"")
    store.write("votes/a", b"")

    assert store.sweep() == 0
    monkeypatch.setattr(temporaries, "ABANDONED_SECONDS", -3600.0)  # clocks differ
    assert store.sweep() == 1
    assert store.sweep() == 0
    assert store.names() == [".probe-of-mine", "votes/a"]
