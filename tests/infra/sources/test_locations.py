from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from infra.local_store import LocalStore
from infra.object_store import S3Store
from infra.sources.locations import Location, read_locations

Asked = list[tuple[str, int, int]]


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    """Return a megabyte of noise, which lies in two files."""
    noise = np.random.default_rng(0).bytes(1 << 20)
    (tmp_path / "a").write_bytes(noise)
    (tmp_path / "b").write_bytes(noise[::-1])
    return noise


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Return the ranges that are asked of local files from now on."""
    ranges: Asked = []
    original = LocalStore.read_range

    def noting(store: LocalStore, name: str, offset: int, length: int) -> bytes:
        ranges.append((name, offset, length))
        return original(store, name, offset, length)

    monkeypatch.setattr(LocalStore, "read_range", noting)
    return ranges


def test_ranges_and_files_come_in_the_order_asked_for(
    data: bytes, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    places = [
        Location(f"{tmp_path}/{'ab'[at % 2]}", int(start), int(length))
        for at, (start, length) in enumerate(
            zip(rng.integers(0, 900_000, 60), rng.integers(0, 99_999, 60), strict=True)
        )
    ]
    places.insert(7, Location(f"{tmp_path}/b"))
    files = {f"{tmp_path}/a": data, f"{tmp_path}/b": data[::-1]}
    wanted = [
        files[p.uri]
        if p.offset is None or p.length is None
        else files[p.uri][p.offset : p.offset + p.length]
        for p in places
    ]
    assert read_locations(places) == wanted
    assert read_locations([]) == []


def test_neighbours_are_read_in_one_request(
    data: bytes, tmp_path: Path, asked: Asked
) -> None:
    uri = f"{tmp_path}/a"
    places = [Location(uri, 5000, 100), Location(uri, 0, 100), Location(uri, 5100, 50)]
    assert read_locations(places)[1] == data[:100]
    assert asked == [("a", 0, 5150)]


def test_places_far_apart_are_not_read_together(
    data: bytes, tmp_path: Path, asked: Asked
) -> None:
    uri = f"{tmp_path}/a"
    last = Location(uri, 1_000_000, 10)
    assert read_locations([last, Location(uri, 0, 10)])[0] == data[1_000_000:][:10]
    assert asked == [("a", 0, 10), ("a", 1_000_000, 10)]


def test_one_request_stays_small(tmp_path: Path, asked: Asked) -> None:
    (tmp_path / "big").write_bytes(bytes(20 << 20))
    places = [Location(f"{tmp_path}/big", at << 20, 1 << 20) for at in range(20)]
    read_locations(places)
    assert [length >> 20 for _, _, length in asked] == [8, 8, 4]


@pytest.mark.usefixtures("data")
def test_a_range_beyond_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"inside its file; .*/a has 4 of the 5 bytes"):
        read_locations([Location(f"{tmp_path}/a", (1 << 20) - 4, 5)])


def test_far_places_are_read_several_at_once_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = Barrier(4, timeout=10)

    def read(_store: S3Store, name: str) -> bytes:
        together.wait()  # passes only if four reads wait at the same time
        return name.encode()

    monkeypatch.setattr(S3Store, "read", read)
    names = [f"{index}.x" for index in range(8)]
    asked = [Location(f"s3://lab/set/{name}") for name in names]
    assert read_locations(asked) == [name.encode() for name in names]
