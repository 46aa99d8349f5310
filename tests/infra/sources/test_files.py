from collections.abc import Callable
from pathlib import Path

import pytest

from infra.object_store import S3Store
from infra.sources.files import (
    absolute,
    find,
    folder_of,
    read_file,
    split_file,
    uri_of,
    with_absolute_places,
)
from infra.sources.flat_devkit import FlatDevkit


@pytest.fixture
def there(put: Callable[..., Path], tmp_path: Path) -> Path:
    for name in ("a-0.x", "a-1.x", "a-10.x", "b.x", "in/a-2.x", "notes.txt"):
        put(tmp_path / name, name)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("", ["a-0.x", "a-1.x", "a-10.x", "b.x"]),
        ("b.x", ["b.x"]),
        ("a-*.x", ["a-0.x", "a-1.x", "a-10.x"]),
        ("*", ["a-0.x", "a-1.x", "a-10.x", "b.x"]),
        ("*/a-*.x", ["in/a-2.x"]),
        ("a-{0..1}.x", ["a-0.x", "a-1.x"]),
        ("a-{10..10}.x", ["a-10.x"]),
        ("c*.x", []),
    ],
)
def test_a_path_means_its_files(
    there: Path, path: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find(f"{there}/{path}", ending=".x", inside=["*.x"]).names == names
    monkeypatch.chdir(there)
    if path:
        assert find(path, ending=".x", inside=["*.x"]).names == names


def test_numbers_keep_their_zeros(there: Path) -> None:
    with pytest.raises(ValueError, match=r"2 of 2 are not there, the first 'a-00.x'"):
        find(f"{there}/a-{{00..01}}.x", ending=".x", inside=[])


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("s3://lab/set/", "s3://lab/set"),
        ("s3://lab/set/*.x", "s3://lab/set"),
        ("s3://lab/set/a-{0..9}.x", "s3://lab/set"),
        ("s3://lab/a.x", "s3://lab"),
        ("/a.x", "/"),
    ],
)
def test_a_folder_is_what_stands_before_the_names(path: str, folder: str) -> None:
    assert folder_of(path, ending=".x").url == folder


def test_places_in_a_bucket_stay_as_they_are() -> None:
    store, name = split_file("s3://lab/set/val/a.x")
    assert (store, name) == (S3Store("lab/set/val"), "a.x")
    assert uri_of(store, name) == "s3://lab/set/val/a.x"
    assert absolute("s3://lab/set") == "s3://lab/set"


def test_all_places_of_a_description_become_absolute(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(there)
    source = with_absolute_places(FlatDevkit(path="val", devkit="in/kit", dataset="d"))
    assert (source.path, source.devkit) == (f"{there}/val", f"{there}/in/kit")
    assert source.dataset == "d"


def test_a_missing_file_is_refused_with_who_needs_it(there: Path) -> None:
    assert read_file(f"{there}/b.x", needed_as="This") == b"b.x"
    for path in ("c.x", "in"):
        with pytest.raises(ValueError, match="This needs that; there is no file"):
            read_file(f"{there}/{path}", needed_as="This needs that")
