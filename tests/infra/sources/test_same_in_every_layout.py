import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from infra.images import Source, decode
from pipelines.ingest import ingest

LAYOUTS = ["class_folders", "flat_devkit", "kaggle", "hf_parquet", "webdataset"]


def described(fields: dict[str, Any]) -> Any:
    return TypeAdapter(Source).validate_python(fields)


def through_manifest(fields: dict[str, Any], root: Path) -> Any:
    """Return the data set by its manifest, after a look that nothing is listed."""
    settings = [f"{k}={v}" for k, v in fields.items() if k not in ("source", "path")]
    out = root / "manifest" / "all.parquet"
    ingest(fields["path"], fields["source"], settings, str(out))
    return described({"source": "manifest", "path": str(out)})


def pillow_rgb(content: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    return np.asarray(image).transpose(2, 0, 1)


def expected(pictures: Sequence[Any]) -> dict[str, tuple[int, bytes]]:
    """Return label and content by official name."""
    return {picture.key: (picture.label, picture.content) for picture in pictures}


def check_same(source: Any, wanted: dict[str, tuple[int, bytes]]) -> None:
    entries = source.entries()
    assert {entry.key: entry.label for entry in entries} == {
        key: label for key, (label, _) in wanted.items()
    }
    backwards = entries[::-1]
    for entry, content in zip(backwards, source.read(backwards), strict=True):
        assert content == wanted[entry.key][1], entry.key
        pixels = decode(content, "none", key=entry.key)
        assert pixels.dtype == np.float32
        assert np.array_equal(np.rint(pixels * 255), pillow_rgb(content)), entry.key


@pytest.mark.parametrize("by_manifest", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_made_here_come_back_the_same(
    layout: str,
    by_manifest: bool,
    write: Callable[..., dict[str, Any]],
    pictures: Sequence[Any],
    tmp_path: Path,
) -> None:
    fields = write(layout, tmp_path / "set", pictures)
    source = through_manifest(fields, tmp_path) if by_manifest else described(fields)
    check_same(source, expected(pictures))


@pytest.fixture(scope="module")
def real_pictures(
    picture: Callable[..., Any], wordnet_ids: Sequence[str]
) -> Sequence[Any]:
    """Return ImageNet's own JPEGs, one each of the classes 0, 20, 40, ..."""
    folder = Path(os.environ.get("DIFFSMOOTH_DATA", "")) / "imagenet_val_sample"
    if "DIFFSMOOTH_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("DIFFSMOOTH_DATA names no folder with imagenet_val_sample")
    files = sorted(folder.glob("*/*.JPEG"))
    pictures = [
        picture(number, wordnet_ids.index(file.parent.name), file.read_bytes())
        for number, file in enumerate(files, start=1)
    ]
    assert [p.label for p in pictures] == list(range(0, 1000, 20))
    return pictures


@pytest.mark.parametrize("by_manifest", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_real_images_come_back_the_same(
    layout: str,
    by_manifest: bool,
    write: Callable[..., dict[str, Any]],
    real_pictures: Sequence[Any],
    tmp_path: Path,
) -> None:
    fields = write(layout, tmp_path / "set", real_pictures)
    source = through_manifest(fields, tmp_path) if by_manifest else described(fields)
    check_same(source, expected(real_pictures))


def test_the_colours_of_images_made_here_are_all_kinds(pictures: Sequence[Any]) -> None:
    opened = [Image.open(io.BytesIO(picture.content)) for picture in pictures]
    kinds = {(image.format, image.mode) for image in opened}
    assert {("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "RGB")} <= kinds


def planes(content: bytes, side: int) -> np.ndarray:
    """Return an image squeezed to a square, as red, green and blue planes."""
    image = Image.open(io.BytesIO(content)).convert("RGB").resize((side, side))
    return np.asarray(image).transpose(2, 0, 1)


def test_real_images_come_back_the_same_as_64_pixels(
    real_pictures: Sequence[Any], wordnet_ids: Sequence[str], tmp_path: Path
) -> None:
    rows = [planes(picture.content, 64) for picture in real_pictures]
    order = sorted(wordnet_ids, key=lambda wnid: wnid[::-1])  # another order
    numbers = [order.index(wordnet_ids[p.label]) + 1 for p in real_pictures]
    np.savez(
        tmp_path / "val_data.npz",
        data=np.stack(rows).reshape(len(rows), -1),
        labels=np.array(numbers),
    )
    lines = [f"{wnid} {number} name" for number, wnid in enumerate(order, start=1)]
    (tmp_path / "map_clsloc.txt").write_text("\n".join(lines))
    fields = {
        "source": "imagenet64_npz",
        "path": str(tmp_path / "val_data.npz"),
        "class_order": str(tmp_path / "map_clsloc.txt"),
    }
    check_planes(fields, tmp_path, [p.label for p in real_pictures], rows)


def test_real_images_come_back_the_same_as_32_pixels(
    real_pictures: Sequence[Any], tmp_path: Path
) -> None:
    rows = [planes(picture.content, 32) for picture in real_pictures]
    labels = [picture.label // 20 % 10 for picture in real_pictures]
    records = [
        bytes([label]) + row.tobytes() for label, row in zip(labels, rows, strict=True)
    ]
    (tmp_path / "test_batch.bin").write_bytes(b"".join(records))
    fields = {"source": "cifar10_binary", "path": str(tmp_path)}
    check_planes(fields, tmp_path, labels, rows)


def check_planes(
    fields: dict[str, Any],
    root: Path,
    labels: Sequence[int],
    rows: Sequence[np.ndarray],
) -> None:
    for source in (described(fields), through_manifest(fields, root)):
        entries = source.entries()
        assert [entry.label for entry in entries] == list(labels)
        for content, row in zip(source.read(entries), rows, strict=True):
            pixels = decode(content, "none", key="")
            assert np.array_equal(np.rint(pixels * 255), row)
