from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.sources.kaggle import Kaggle

HEAD = "ImageId,PredictionString\n"


@pytest.fixture
def root(
    write: Callable[..., dict[str, Any]], pictures: Sequence[Any], tmp_path: Path
) -> Path:
    """Return the folder of a whole data set."""
    write("kaggle", tmp_path, pictures)
    return tmp_path


def test_images_come_in_the_order_of_their_names(
    root: Path, pictures: Sequence[Any]
) -> None:
    entries = Kaggle(path=str(root)).entries()
    assert [entry.key for entry in entries] == [p.key for p in pictures]
    assert [entry.label for entry in entries] == [p.label for p in pictures]


def test_the_folder_may_be_unpacked_one_level_higher(root: Path) -> None:
    (root / "ILSVRC" / "Data").rename(root / "Data")
    assert len(Kaggle(path=str(root)).entries()) == 6


def test_the_list_of_classes_need_not_be_there(root: Path) -> None:
    (root / "LOC_synset_mapping.txt").unlink()
    assert len(Kaggle(path=str(root)).entries()) == 6


def test_a_list_of_other_classes_is_refused(root: Path) -> None:
    (root / "LOC_synset_mapping.txt").write_text("n01440764 tench\nn00000000 thing\n")
    with pytest.raises(ValueError, match=r"has 2, of which \['n00000000'\]"):
        Kaggle(path=str(root)).entries()


def test_images_that_are_missing_are_reported(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in root.rglob("*_00000003.JPEG"):
        path.unlink()
    assert len(Kaggle(path=str(root)).entries()) == 5
    assert "has 5 of the 6 images that have a label" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEAD + "ILSVRC2012_val_00000003,-1 1 2\n", "line 2 has '-1'"),
        (HEAD + "ILSVRC2012_val_00000003,\n", "line 2 has ''"),
        (HEAD + "ILSVRC2012_val_00000003,n00000000 1 2\n", "line 2 has 'n00000000'"),
        (HEAD + "a,n01440764\na,n01440764\n", "line 3 has 'a' again"),
        (HEAD, "has none for 'ILSVRC2012_val_00000003'"),
        ("id,label\n", r"has \['id', 'label'\]"),
        ("", "has None"),
    ],
)
def test_a_solution_that_does_not_fit_is_refused(
    root: Path, content: str, message: str
) -> None:
    (root / "LOC_val_solution.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        Kaggle(path=str(root)).entries()


def test_a_missing_solution_is_refused(root: Path) -> None:
    (root / "LOC_val_solution.csv").unlink()
    with pytest.raises(ValueError, match=r"no file .*LOC_val_solution\.csv"):
        Kaggle(path=str(root)).entries()


def test_images_in_class_folders_are_refused(
    root: Path, put: Callable[..., Path]
) -> None:
    folder = root / "ILSVRC" / "Data" / "CLS-LOC" / "val"
    put(folder / "n01440764" / "ILSVRC2012_val_00000293.JPEG", b"")
    with pytest.raises(ValueError, match="take layout class_folders"):
        Kaggle(path=str(root)).entries()


def test_a_folder_without_images_is_refused(root: Path) -> None:
    (root / "ILSVRC").rename(root / "elsewhere")
    with pytest.raises(ValueError, match="has no image file"):
        Kaggle(path=str(root)).entries()
