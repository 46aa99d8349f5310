import hashlib
from pathlib import Path

import pytest

from infra.weights.digest import digest


def test_digest_of_a_file_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "net.bin"
    file.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest(file) == published == hashlib.sha256(b"abc").hexdigest()


def folder(at: Path, names: list[str]) -> Path:
    for name in names:
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(f"content of {name}")
    return at


def test_digest_of_a_folder_depends_on_names_and_content_only(tmp_path: Path) -> None:
    names = ["unet/config.json", "unet/model.bin", "scheduler/config.json"]
    first = folder(tmp_path / "first", names)
    same = folder(tmp_path / "same", [*reversed(names), ".cache/note", "unet/.lock"])
    assert digest(first) == digest(same)
    (same / "unet/model.bin").rename(same / "unet/moved.bin")
    assert digest(first) != digest(same)
    (first / "unet/model.bin").rename(first / "unet/moved.bin")
    assert digest(first) == digest(same)
    (same / "unet/config.json").write_text("other content")
    assert digest(first) != digest(same)


def test_nothing_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digest(tmp_path / "missing")
