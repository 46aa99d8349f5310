from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.sources.entry import Entry
from infra.subsets import select
from pipelines.data import Data
from pipelines.decode import entry_digests
from tune.held_out import require_apart


def digits(split: str, subset: str = "full") -> Data:
    return Data.model_validate({"source": "digits", "split": split, "subset": subset})


def folders(where: Path, **greys: int) -> Data:
    """Write grey pictures into class folder 0, and return them as data."""
    (where / "0").mkdir(parents=True)
    for name, grey in greys.items():
        Image.new("L", (4, 4), grey).save(where / "0" / f"{name}.png")
    return Data.model_validate({"source": "class_folders", "path": str(where)})


def entries_of(data: Data) -> list[Entry]:
    return select(data.source.entries(), data.subset)


def judge(tuned: Data, held_out: Data, **more: Any) -> None:
    """Hold the images of a study against those that its winner is judged by."""
    tuned_entries, others = entries_of(tuned), entries_of(held_out)
    digests = entry_digests(tuned.source, tuned_entries)
    same = tuned.source == held_out.source
    more = {"same_source": same, **more}
    require_apart(tuned_entries, digests, others, held_out, **more)


def apart(tuned: Data, held_out: Data, **more: Any) -> bool:
    """Return whether images of a study and those held out are let pass."""
    try:
        judge(tuned, held_out, **more)
    except ValueError:
        return False
    return True


def test_another_split_of_the_digits_is_apart() -> None:
    assert apart(digits("tune"), digits("test"))
    assert apart(digits("test", "first:50"), digits("train", "first:50"))
    assert not apart(digits("test", "first:50"), digits("test", "first:1"))


@pytest.mark.parametrize(
    ("tuned", "held_out", "told"),
    [
        ("full", "full", "177 of 177 are in data too"),
        ("first:10", "first:20", "10 of 20 are in data too"),
        ("first:20", "first:10", "10 of 10 are in data too"),
        ("first:1", "full", "1 of 177 are in data too"),
    ],
)
def test_images_of_one_name_are_counted_and_refused(
    tuned: str, held_out: str, told: str
) -> None:
    data = digits("tune", tuned)

    with pytest.raises(ValueError, match=told) as refusal:
        judge(data, digits("tune", held_out))

    assert repr(entries_of(data)[0].key) in str(refusal.value)


def test_the_same_picture_under_another_name_is_refused(tmp_path: Path) -> None:
    tuned = folders(tmp_path / "tuned", a=1, b=2, c=3)
    held_out = folders(tmp_path / "held_out", d=9, e=2, f=8, g=1)

    with pytest.raises(ValueError, match="2 of 4 are in data too, such as 'e', 'g'"):
        judge(tuned, held_out)


def test_equal_names_in_different_data_sets_are_no_overlap(tmp_path: Path) -> None:
    tuned = folders(tmp_path / "tuned", a=1, b=2)
    held_out = folders(tmp_path / "held_out", a=7, b=8)

    assert apart(tuned, held_out, same_source=False)
    with pytest.raises(ValueError, match="2 of 2 are in data too, such as 'a', 'b'"):
        judge(tuned, held_out, same_source=True)


def test_pictures_that_differ_are_apart(tmp_path: Path) -> None:
    tuned = folders(tmp_path / "tuned", a=1, b=2)

    assert apart(tuned, folders(tmp_path / "held_out", c=3, d=4))
    assert not apart(tuned, folders(tmp_path / "one_again", c=3, d=2))


def test_few_of_many_are_named(tmp_path: Path) -> None:
    greys = {f"image_{number}": number for number in range(9)}

    with pytest.raises(ValueError, match="9 of 9") as refusal:
        judge(folders(tmp_path / "a", **greys), folders(tmp_path / "b", **greys))

    assert str(refusal.value).count("image_") == 3


def test_no_image_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match=r"study\.held_out needs images"):
        require_apart([], {}, [], digits("test"), same_source=True)
