import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from infra.local_store import LocalStore
from infra.sources.imagenet64_npz import Imagenet64Npz

PIXELS = 12288


@pytest.fixture
def table(put: Callable[..., Path], order: Mapping[int, str], tmp_path: Path) -> str:
    """Return the path of a class order."""
    lines = "".join(f"{name} {number} a_name\n" for number, name in order.items())
    return str(put(tmp_path / "map_clsloc.txt", lines))


def npz(save: Callable[..., Any] = np.savez, **arrays: Any) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def images(num_images: int, first: int = 0) -> np.ndarray:
    """Return rows whose red is their position, green 100 and blue 200.

    The first pixel of the second line is black.
    """
    planes = np.zeros((num_images, 3, 64, 64), np.uint8)
    planes[:, 0] = np.arange(first, first + num_images)[:, None, None]
    planes[:, 1], planes[:, 2] = 100, 200
    planes[:, :, 1, 0] = 0
    return planes.reshape(num_images, PIXELS)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_key_label_and_pixels_come_back(
    save: Callable[..., Any],
    put: Callable[..., Path],
    table: str,
    order: Mapping[int, str],
    tmp_path: Path,
) -> None:
    content = npz(save, data=images(3), labels=np.array([1, 1000, 400]))
    path = put(tmp_path / "val_data.npz", content)
    source = Imagenet64Npz(path=str(path), class_order=table)
    entries = source.entries()
    assert [entry.key for entry in entries] == ["val_00000", "val_00001", "val_00002"]
    known = sorted(order.values())
    assert [known[e.label] for e in entries] == [order[n] for n in (1, 1000, 400)]
    for position, image in zip((2, 0), source.read(entries[::-2]), strict=True):
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        assert image[0, 0].tolist() == image[63, 63].tolist() == [position, 100, 200]
        assert image[1, 0].tolist() == [0, 0, 0]


def test_an_image_is_read_by_its_range_and_no_more(
    put: Callable[..., Path],
    table: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = put(tmp_path / "val_data.npz", npz(data=images(3), labels=[1, 2, 3]))
    source = Imagenet64Npz(path=str(path), class_order=table)
    entries = source.entries()
    monkeypatch.setattr(LocalStore, "read", None)
    monkeypatch.setattr(LocalStore, "open", None)
    assert [image[0, 0, 0] for image in source.read(entries)] == [0, 1, 2]


def test_images_are_numbered_over_all_files(
    put: Callable[..., Path], table: str, tmp_path: Path
) -> None:
    for batch in (2, 1):
        content = npz(data=images(2, 10 * batch), labels=[1, 2])
        put(tmp_path / "set" / f"train_data_batch_{batch}.npz", content)
    put(tmp_path / "set" / "val_data.npz", npz(data=images(1), labels=[1]))
    source = Imagenet64Npz(
        path=f"{tmp_path}/set", class_order=table, split="train", dataset="small"
    )
    entries = source.entries()
    assert [entry.key for entry in entries] == [f"train_{i:05d}" for i in range(4)]
    assert [image[0, 0, 0] for image in source.read(entries)] == [10, 11, 20, 21]
    assert source.name == "small"


OBJECTS = np.array([{"a": 1}, None], dtype=object)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npz(data=images(2), labels=[1, -1]), r"row 1 has -1 \(the unlabelled"),
        (npz(data=images(2), labels=[0, 1]), "npz row 0 has 0"),
        (npz(data=images(2), labels=[1, 1001]), "from 1 to 1000; .* row 1 has 1001"),
        (npz(data=images(2), labels=OBJECTS), "'labels' as plain numbers; .*pickle"),
        (npz(data=OBJECTS, labels=[1, 2]), r"has data object \(2,\)"),
        (npz(data=images(2), labels=[1]), r"\(2, 12288\) and labels int64 \(1,\)"),
        (npz(data=images(2), labels=[1.5, 2.0]), "labels float64"),
        (npz(data=images(2)[:, :3072], labels=[1, 2]), r"\(2, 3072\).*64x64 pixels"),
        (npz(data=images(2) / 255, labels=[1, 2]), "has data float64"),
        (npz(data=np.asfortranarray(images(2)), labels=[1, 2]), "side by side"),
        (npz(labels=[1, 2]), r"'data' as plain numbers; .*val_data\.npz"),
        (npz(data=images(2)), "'labels' as plain numbers"),
        (npz(data=images(2), labels=[1, 2])[:-40], "not a zip file"),
        (b"\x80\x04}q.", "not a zip file"),
        (npz(data=images(0), labels=np.zeros(0, int)), "needs images"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    content: bytes,
    message: str,
    put: Callable[..., Path],
    table: str,
    tmp_path: Path,
) -> None:
    path = put(tmp_path / "val_data.npz", content)
    with pytest.raises(ValueError, match=message):
        Imagenet64Npz(path=str(path), class_order=table).entries()


def test_the_class_order_has_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="class_order"):
        Imagenet64Npz.model_validate({"path": f"{tmp_path}/val_data.npz"})


def test_a_missing_class_order_is_refused(
    put: Callable[..., Path], tmp_path: Path
) -> None:
    path = put(tmp_path / "val_data.npz", npz(data=images(1), labels=[1]))
    source = Imagenet64Npz(path=str(path), class_order=f"{tmp_path}/map_clsloc.txt")
    with pytest.raises(ValueError, match=r"there is no file .*map_clsloc\.txt"):
        source.entries()
