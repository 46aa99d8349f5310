import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.sources.flat_devkit import FlatDevkit

TRUTH = "ILSVRC2012_validation_ground_truth.txt"


@pytest.fixture
def written(
    write: Callable[..., dict[str, Any]], pictures: Sequence[Any], tmp_path: Path
) -> dict[str, Any]:
    """Return the fields of a whole data set with its devkit."""
    fields = write("flat_devkit", tmp_path, pictures)
    return {key: value for key, value in fields.items() if key != "source"}


@pytest.fixture
def data(written: dict[str, Any]) -> Path:
    """Return the devkit's folder of data."""
    return Path(written["devkit"]) / "data"


def test_images_come_in_the_order_of_their_numbers(
    written: dict[str, Any], pictures: Sequence[Any]
) -> None:
    entries = FlatDevkit(**written).entries()
    assert [entry.key for entry in entries] == [p.key for p in pictures]
    assert [entry.label for entry in entries] == [p.label for p in pictures]
    assert FlatDevkit(**written).name == "imagenet"


@pytest.mark.parametrize("inside", ["", "data", "ILSVRC2012_devkit_t12/data"])
def test_the_devkit_is_found_where_people_unpack_it(
    written: dict[str, Any], data: Path, tmp_path: Path, inside: str
) -> None:
    there = tmp_path / "elsewhere" / inside
    there.parent.mkdir(parents=True, exist_ok=True)
    data.rename(there)
    fields = {**written, "devkit": f"{tmp_path}/elsewhere"}
    assert len(FlatDevkit(**fields).entries()) == 6


def test_a_short_devkit_serves_the_images_it_has_lines_for(
    put: Callable[..., Path],
    meta: Callable[..., bytes],
    order: Mapping[int, str],
    wordnet_ids: Sequence[str],
    tmp_path: Path,
) -> None:
    put(tmp_path / "ILSVRC2012_val_00000002.JPEG", b"")
    put(tmp_path / TRUTH, "5\n9\n")
    put(tmp_path / "meta.mat", meta(list(order.items())))
    source = FlatDevkit(path=str(tmp_path), devkit=str(tmp_path))
    (entry,) = source.entries()
    assert entry.label == wordnet_ids.index(order[9])


def test_images_and_classes_that_are_missing_are_reported(
    written: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        FlatDevkit(**written).entries()
    assert "has 6 of the 50000 images that have a label" in caplog.text
    assert "no image of 995 of its 1000 classes: n01484850" in caplog.text


def shuffled(order: Mapping[int, str]) -> list[tuple[int, str]]:
    names = list(order.values())
    return list(zip(order, [*names[1:], names[0]], strict=True))


def test_a_devkit_of_classes_in_another_order_is_refused(
    written: dict[str, Any],
    data: Path,
    meta: Callable[..., bytes],
    order: Mapping[int, str],
) -> None:
    (data / "meta.mat").write_bytes(meta(shuffled(order)))
    with pytest.raises(ValueError, match=r" [0-2]\.\d% of them show their class"):
        FlatDevkit(**written).entries()


def test_a_ground_truth_beside_the_wrong_images_is_refused(
    written: dict[str, Any], data: Path
) -> None:
    lines = (data / TRUTH).read_text().split()
    (data / TRUTH).write_text("\n".join([*lines[1:], lines[0]]))
    with pytest.raises(ValueError, match="Take both files from one ILSVRC2012 devkit"):
        FlatDevkit(**written).entries()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1\n2\n3\n", r"_00000004\.JPEG is number 4 and .* has 3 lines"),
        ("1\n2\n3\n1001\n", r"from 1 to 1000; .* line 4 has 1001"),
        ("0\n", "line 1 has 0"),
        ("1\n-1\n", r"line 2 has -1 \(the unlabelled test split"),
        ("n01440764\n", "line 1 has 'n01440764'"),
    ],
)
def test_a_ground_truth_that_does_not_fit_is_refused(
    written: dict[str, Any], data: Path, lines: str, message: str
) -> None:
    (data / TRUTH).write_text(lines)
    with pytest.raises(ValueError, match=message):
        FlatDevkit(**written).entries()


@pytest.mark.parametrize("name", ["meta.mat", TRUTH])
def test_half_a_devkit_is_refused(
    written: dict[str, Any], data: Path, name: str
) -> None:
    (data / name).unlink()
    with pytest.raises(ValueError, match=r"meta\.mat in one folder; .* lack"):
        FlatDevkit(**written).entries()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cat.JPEG", "has 'cat.JPEG'. Move it elsewhere"),
        ("ILSVRC2012_test_00000001.JPEG", "has 'ILSVRC2012_test_00000001.JPEG'"),
        ("n01440764/ILSVRC2012_val_00000293.JPEG", "take layout class_folders"),
        ("ILSVRC2012_val_00000003.png", "'ILSVRC2012_val_00000003' 2 times"),
        ("ILSVRC2012_val_00050001.JPEG", "is number 50001 and .* has 50000 lines"),
    ],
)
def test_an_image_that_is_no_validation_image_is_refused(
    written: dict[str, Any], put: Callable[..., Path], name: str, message: str
) -> None:
    put(Path(written["path"]) / name, b"")
    with pytest.raises(ValueError, match=message):
        FlatDevkit(**written).entries()


def test_a_folder_without_images_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no image file"):
        FlatDevkit(**{**written, "path": written["devkit"]}).entries()
