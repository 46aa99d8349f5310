import errno
import os
from pathlib import Path

import pytest

from infra.local_store import LocalStore
from infra.object_store import open_store


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"needs a place it can write.*file/out"):
        open_store(tmp_path / "file" / "out").require_writable()


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


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(reason, os.strerror(reason))

    store = LocalStore(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(
            OSError, match=r"needs room to write; .* to 3 bytes"
        ) as told:
            store.write_once("votes/a", b"abc")

    assert f"{tmp_path} answers" in str(told.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.write_once("votes/a", b"abc")
