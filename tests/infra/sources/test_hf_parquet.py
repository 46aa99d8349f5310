import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from infra.images import decode
from infra.sources.hf_parquet import HfParquet


def png(grey: int) -> bytes:
    """Return a PNG of one grey value, which tells the image apart."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (grey, grey, grey)).save(file, "PNG")
    return file.getvalue()


def write(path: Path, labels: list[int], *, first: int = 0, column: str = "img") -> str:
    """Write images of grey values ``first``, ``first + 1``, ... in row groups of 3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [
        {"bytes": png(first + row), "path": f"{row}.png"} for row in range(len(labels))
    ]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {column: pa.array(images, kind), "label": pa.array(labels, pa.int64())}
    )
    pq.write_table(table, path, row_group_size=3)
    return str(path)


def grey(content: bytes) -> int:
    """Return the grey value of an image."""
    return round(float(decode(content, "none", key="a").mean()) * 255)


def test_key_label_and_pixels_come_back(tmp_path: Path) -> None:
    labels = [3, 1, 4, 1, 5, 9, 2]
    source = HfParquet(path=write(tmp_path / "a.parquet", labels))
    entries = source.entries()
    assert [entry.key for entry in entries] == [f"test_{row:05d}" for row in range(7)]
    assert [entry.label for entry in entries] == labels
    assert [grey(content) for content in source.read(entries)] == list(range(7))


def test_images_come_in_the_order_asked_for(tmp_path: Path) -> None:
    source = HfParquet(path=write(tmp_path / "a.parquet", [0] * 8))
    entries = source.entries()
    asked = [entries[6], entries[0], entries[5], entries[0]]
    assert [grey(content) for content in source.read(asked)] == [6, 0, 5, 0]


def test_only_the_row_groups_asked_for_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = HfParquet(path=write(tmp_path / "a.parquet", [0] * 9))
    entries = source.entries()
    read, original = [], pq.ParquetFile.read_row_group

    def noting(file: pq.ParquetFile, group: int, **options: object) -> pa.Table:
        read.append(group)
        return original(file, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noting)
    source.read([entries[4], entries[8], entries[3]])
    assert sorted(read) == [1, 2]


@pytest.mark.parametrize("inside", ["", "data/"])
def test_a_folder_gives_the_files_of_the_split_in_order(
    tmp_path: Path, inside: str
) -> None:
    write(tmp_path / f"{inside}test-00001-of-00002.parquet", [1] * 4, first=4)
    write(tmp_path / f"{inside}test-00000-of-00002.parquet", [0] * 4)
    write(tmp_path / f"{inside}train-00000-of-00001.parquet", [2] * 4)
    source = HfParquet(path=str(tmp_path))
    entries = source.entries()
    assert [entry.label for entry in entries] == [0] * 4 + [1] * 4
    assert entries[-1].key == "test_00007"
    assert [grey(content) for content in source.read(entries)] == list(range(8))


@pytest.mark.parametrize("pattern", ["part-*.parquet", "p*", "*rt-*"])
def test_a_pattern_chooses_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    write(tmp_path / "part-0.parquet", [0])
    write(tmp_path / "part-1.parquet", [1])
    write(tmp_path / "other.parquet", [2])
    write(tmp_path / "deeper" / "part-2.parquet", [3])
    monkeypatch.chdir(tmp_path.parent)
    for path in (f"{tmp_path}/{pattern}", f"{tmp_path.name}/{pattern}"):
        assert [entry.label for entry in HfParquet(path=path).entries()] == [0, 1]


def test_a_split_the_folder_has_not_is_refused_with_what_it_has(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0])
    with pytest.raises(ValueError, match=r"split 'test'.*\['train.parquet'\]"):
        HfParquet(path=str(tmp_path)).entries()


def test_two_data_sets_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path / "cifar10" / "test-0.parquet", [0])
    write(tmp_path / "cifar100" / "test-0.parquet", [0])
    with pytest.raises(ValueError, match=r"in one folder; .*cifar10/test-0"):
        HfParquet(path=str(tmp_path)).entries()


def test_a_missing_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0], column="image")
    with pytest.raises(ValueError, match=r"'img'; .* has \['image', 'label'\]"):
        HfParquet(path=path).entries()
    assert len(HfParquet(path=path, image_column="image").entries()) == 1


def test_images_without_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"img": ["a.png"], "label": [0]}), path)
    with pytest.raises(ValueError, match=r"struct<bytes, path>; .* as string"):
        HfParquet(path=str(path)).entries()


def test_a_row_without_bytes_reads_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": None, "path": "elsewhere.png"}], kind)
    pq.write_table(pa.table({"img": images, "label": [0]}), path)
    source = HfParquet(path=str(path))
    assert source.read(source.entries()) == [b""]


def test_the_unlabelled_split_is_refused_and_explained(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, -1])
    with pytest.raises(ValueError, match=r"row 1 has -1 \(the unlabelled test split"):
        HfParquet(path=path).entries()


def test_a_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1, 2, 10])
    with pytest.raises(ValueError, match=r"\[0, 10\); a.parquet row 3 has 10"):
        HfParquet(path=path).entries()
    assert len(HfParquet(path=path, num_classes=11).entries()) == 4


def test_missing_classes_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.parquet", [0, 2, 2])
    HfParquet(path=path, num_classes=4).entries()
    assert "a.parquet has no image of 2 of its 4 classes: 1, 3." in caplog.text


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs images"):
        HfParquet(path=write(tmp_path / "a.parquet", [])).entries()


def test_cifar10_has_its_ten_thousand_test_images() -> None:
    path = Path(os.environ.get("DIFFSMOOTH_DATA", "")) / "cifar10"
    if "DIFFSMOOTH_DATA" not in os.environ or not path.is_dir():
        pytest.skip("DIFFSMOOTH_DATA names no folder with cifar10")
    source = HfParquet(path=str(path), dataset="cifar10")
    entries = source.entries()
    assert source.name == "cifar10"
    assert np.bincount([entry.label for entry in entries]).tolist() == [1000] * 10
    (content,) = source.read(entries[-1:])
    assert decode(content, "none", key="last").shape == (3, 32, 32)
