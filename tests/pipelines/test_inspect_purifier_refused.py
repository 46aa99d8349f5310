"""Which purifiers cannot be inspected, and what is said of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from purifiers_made import ENSEMBLE, looked_at_here, written

from pipelines.inspect_purifier import Asked, inspect_purifier


@pytest.fixture(autouse=True)
def _in_this_process() -> Iterator[None]:
    with looked_at_here():
        yield


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sigma": [1.0]}, "a sigma that all recipes share; plain has 0.25, 0.5; "),
        (
            {
                "data": {
                    "source": "digits",
                    "split": "test",
                    "preprocess": "resize_crop:7:7:box",
                }
            },
            "the first has (1, 8, 8) of channel x height x width and other (1, 7, 7)",
        ),
        (
            {"data": {"source": "digits", "split": "test", "dataset": "mine"}},
            "recipes of one data set; the first has digits and other mine",
        ),
        (
            {"classifier": {**ENSEMBLE["members"][0], "num_classes": 3}},
            "label",
        ),
    ],
)
def test_recipes_that_cannot_be_compared_are_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    first, other = written(tmp_path, "plain"), written(tmp_path, "odd/other", **changes)

    with pytest.raises(ValueError, match="needs") as refused:
        inspect_purifier(first, [], str(tmp_path / "o"), Asked(beside=[other]))

    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(num_images=0), "at least 1 image; --images has 0"),
        (Asked(beside=["elsewhere/plain"]), "'plain' comes 2 times"),
        (Asked(lpips="plain.yaml"), "--lpips needs images of 3 channels"),
    ],
)
def test_what_can_be_known_before_is_refused_before(
    tmp_path: Path, asked: Asked, said: str
) -> None:
    first = written(tmp_path, "plain")
    written(tmp_path, "elsewhere/plain")
    asked = Asked(
        asked.num_images,
        [str(tmp_path / f"{other}.yaml") for other in asked.beside],
        asked.lpips and str(tmp_path / asked.lpips),
    )

    with pytest.raises(ValueError, match="needs") as refused:
        inspect_purifier(first, [], str(tmp_path / "o"), asked)

    assert said in str(refused.value)


def test_images_of_several_shapes_are_refused(folders: Path, tmp_path: Path) -> None:
    data = {"source": "class_folders", "path": str(folders), "subset": "full"}
    name = written(tmp_path, "shapes", data=data)

    with pytest.raises(ValueError, match="images of one shape; ") as refused:
        inspect_purifier(name, [], str(tmp_path / "o"), Asked())

    assert "Set data.preprocess" in str(refused.value)
