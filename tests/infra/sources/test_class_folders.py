import io
from pathlib import Path

import pytest
from PIL import Image

from infra.images import decode
from infra.sources.class_folders import ClassFolders


def fill(root: Path, names: list[str]) -> str:
    """Write images whose grey value is their position in the list."""
    for position, name in enumerate(names):
        file = io.BytesIO()
        Image.new("L", (4, 4), position).save(file, "PNG")
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.getvalue())
    return str(root)


def labels(source: ClassFolders) -> dict[str, int]:
    """Return the class of every image by its key."""
    return {entry.key: entry.label for entry in source.entries()}


def test_wordnet_folders_are_numbered_by_id_even_when_most_are_missing(
    tmp_path: Path,
) -> None:
    # tench is the first class of ImageNet, zebra 340, toilet tissue the last.
    names = ["n15075141/c.JPEG", "n01440764/a.JPEG", "n02391049/b.JPEG"]
    source = ClassFolders(path=fill(tmp_path, names))
    assert labels(source) == {"a": 0, "b": 340, "c": 999}
    assert source.name == "imagenet"


def test_key_label_and_pixels_come_back(tmp_path: Path) -> None:
    source = ClassFolders(path=fill(tmp_path, ["0/x.png", "1/y.PNG", "1/z.jpeg"]))
    entries = source.entries()
    pixels = [decode(content, "none", key="a") for content in source.read(entries)]
    assert [entry.key for entry in entries] == ["x", "y", "z"]
    assert [round(float(image.mean()) * 255) for image in pixels] == [0, 1, 2]


def test_numbered_folders_sort_as_numbers(tmp_path: Path) -> None:
    source = ClassFolders(path=fill(tmp_path, ["10/a.png", "9/b.png", "2/c.png"]))
    assert [entry.label for entry in source.entries()] == [2, 9, 10]
    assert source.name == "class_folders"


def test_other_folders_are_numbered_by_their_sorted_names(tmp_path: Path) -> None:
    path = fill(tmp_path, ["dog/a.png", "cat/b.png", "eel/c.png"])
    assert labels(ClassFolders(path=path)) == {"b": 0, "a": 1, "c": 2}
    assert labels(ClassFolders(path=path, num_classes=3))["c"] == 2


def test_named_folders_that_miss_a_class_are_refused(tmp_path: Path) -> None:
    path = fill(tmp_path, ["dog/a.png", "cat/b.png"])
    with pytest.raises(ValueError, match=r"all 10 folders .* has 2"):
        ClassFolders(path=path, num_classes=10).entries()


def test_a_folder_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    path = fill(tmp_path, ["0/a.png", "10/b.png"])
    with pytest.raises(ValueError, match=r"folder '10' of .* has 10"):
        ClassFolders(path=path, num_classes=10).entries()


@pytest.mark.parametrize("stranger", ["n00000001", "background"])
def test_a_folder_that_is_no_imagenet_class_is_refused_by_name(
    tmp_path: Path, stranger: str
) -> None:
    path = fill(tmp_path, ["n01440764/a.png", f"{stranger}/b.png"])
    with pytest.raises(ValueError, match=f"'{stranger}', which is none of the 1000"):
        ClassFolders(path=path).entries()


def test_the_folder_above_the_class_folders_is_refused(tmp_path: Path) -> None:
    path = fill(tmp_path, ["val/n01440764/a.png"])
    with pytest.raises(ValueError, match=r"has 'val/n01440764/a.png'"):
        ClassFolders(path=path).entries()


def test_images_outside_class_folders_are_refused(tmp_path: Path) -> None:
    path = fill(tmp_path, ["0/a.png", "b.png"])
    with pytest.raises(ValueError, match=r"needs folder/file .* has 'b.png'"):
        ClassFolders(path=path).entries()


def test_files_that_are_no_images_are_left_aside(tmp_path: Path) -> None:
    path = fill(tmp_path, ["0/a.png", "0/Thumbs.db", "notes/readme.txt"])
    assert labels(ClassFolders(path=path)) == {"a": 0}


def test_one_name_in_two_folders_is_refused(tmp_path: Path) -> None:
    path = fill(tmp_path, ["0/a.png", "1/a.png"])
    with pytest.raises(ValueError, match="'a' 2 times"):
        ClassFolders(path=path).entries()


@pytest.mark.parametrize("path", ["", "missing"])
def test_a_folder_without_images_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="needs image files"):
        ClassFolders(path=str(tmp_path / path)).entries()


@pytest.mark.parametrize("stranger", ["-1", "background"])
def test_a_folder_that_is_no_number_beside_numbers_is_refused(
    tmp_path: Path, stranger: str
) -> None:
    path = fill(tmp_path, ["0/a.png", "1/b.png", f"{stranger}/c.png"])
    with pytest.raises(ValueError, match=rf"folder '{stranger}'|has '{stranger}'"):
        ClassFolders(path=path).entries()


def test_the_unlabelled_folder_is_refused_and_explained(tmp_path: Path) -> None:
    path = fill(tmp_path, ["-1/a.png"])
    with pytest.raises(ValueError, match=r"has -1 \(the unlabelled test split"):
        ClassFolders(path=path).entries()


@pytest.mark.parametrize(
    ("names", "fields", "told"),
    [
        (["n01440764/a.png", "n15075141/b.png"], {}, "998 of its 1000 classes: n01443"),
        (["0/a.png", "3/b.png"], {}, "2 of its 4 classes: 1, 2."),
        (["0/a.png", "3/b.png"], {"num_classes": 5}, "3 of its 5 classes: 1, 2, 4."),
        (["cat/a.png", "dog/b.png"], {}, ""),
    ],
)
def test_classes_without_a_folder_are_reported(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    names: list[str],
    fields: dict,
    told: str,
) -> None:
    path = fill(tmp_path, names)
    assert len(ClassFolders(path=path, **fields).entries()) == len(names)
    assert told in caplog.text if told else caplog.text == ""
