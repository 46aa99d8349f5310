from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from infra.images import decode
from infra.local_store import LocalStore
from infra.sources.cifar10_binary import Cifar10Binary

RECORD = 3073


def records(labels: list[int], first: int = 0) -> bytes:
    """Return records whose red is their position, green 100 and blue 200.

    The first pixel of the second row is black.
    """
    images = []
    for position, label in enumerate(labels, start=first):
        planes = np.full((3, 32, 32), 0, np.uint8)
        planes[:] = np.array([position, 100, 200], np.uint8)[:, None, None]
        planes[:, 1, 0] = 0
        images.append(bytes([label]) + planes.tobytes())
    return b"".join(images)


def test_key_label_and_pixels_come_back(
    put: Callable[..., Path], tmp_path: Path
) -> None:
    put(tmp_path / "cifar-10-batches-bin" / "test_batch.bin", records([6, 9, 0]))
    source = Cifar10Binary(path=str(tmp_path))
    entries = source.entries()
    assert [e.key for e in entries] == ["test_00000", "test_00001", "test_00002"]
    assert [e.label for e in entries] == [6, 9, 0]
    for position, image in zip((2, 0), source.read(entries[::-2]), strict=True):
        assert image.shape == (32, 32, 3)
        assert image.dtype == np.uint8
        assert image[0, 0].tolist() == image[31, 31].tolist() == [position, 100, 200]
        assert image[1, 0].tolist() == [0, 0, 0]
        assert decode(image, "none", key="a").shape == (3, 32, 32)


def test_an_image_is_read_by_its_range_and_no_more(
    put: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "test_batch.bin", records([1, 2]))
    source = Cifar10Binary(path=str(tmp_path))
    entries = source.entries()
    asked = []
    original = LocalStore.read_range

    def noting(store: LocalStore, name: str, offset: int, length: int) -> bytes:
        asked.append((name, offset, length))
        return original(store, name, offset, length)

    monkeypatch.setattr(LocalStore, "read_range", noting)
    source.read(entries[1:])
    assert asked == [("test_batch.bin", RECORD + 1, 3072)]


def test_training_images_are_numbered_over_all_files(
    put: Callable[..., Path], tmp_path: Path
) -> None:
    for batch in (2, 1):
        put(tmp_path / f"data_batch_{batch}.bin", records([batch] * 2, 2 * batch))
    put(tmp_path / "test_batch.bin", records([9]))
    source = Cifar10Binary(path=str(tmp_path), split="train")
    entries = source.entries()
    assert [(e.key, e.label) for e in entries] == [
        ("train_00000", 1),
        ("train_00001", 1),
        ("train_00002", 2),
        ("train_00003", 2),
    ]
    assert [image[0, 0, 0] for image in source.read(entries)] == [2, 3, 4, 5]


def test_missing_classes_are_reported(
    put: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "test_batch.bin", records([1, 2, 3]))
    Cifar10Binary(path=str(tmp_path)).entries()
    assert "no image of 7 of its 10 classes: airplane, cat" not in caplog.text
    assert "no image of 7 of its 10 classes: airplane, deer" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test_batch.bin", records([0, 1])[:-1], "has 6145 bytes, 3072 more than"),
        ("test_batch.bin", records([0]) + b"\0", "has 3074 bytes, 1 more"),
        ("test_batch.bin", b"", "has 0 bytes"),
        ("test_batch.bin", records([0, 10]), r"\[0, 10\); test_batch.bin record 1"),
        ("data_batch_1.bin", records([0]), "of split 'test' in one folder; .* none"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    put: Callable[..., Path], tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    put(tmp_path / name, content)
    with pytest.raises(ValueError, match=message):
        Cifar10Binary(path=str(tmp_path)).entries()


def test_a_missing_batch_is_refused_since_it_would_renumber_the_rest(
    put: Callable[..., Path], tmp_path: Path
) -> None:
    for batch in (1, 3):
        put(tmp_path / f"data_batch_{batch}.bin", records([0]))
    with pytest.raises(ValueError, match=r"has numbers \[1, 3\]"):
        Cifar10Binary(path=str(tmp_path), split="train").entries()


def test_two_copies_of_the_files_are_not_mixed(
    put: Callable[..., Path], tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        put(tmp_path / folder / "test_batch.bin", records([0]))
    with pytest.raises(ValueError, match=r"\['a/test_batch.bin', 'b/test_batch.bin'\]"):
        Cifar10Binary(path=str(tmp_path)).entries()
