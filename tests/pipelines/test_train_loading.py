from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infra.images import decode
from ops.augment.augment import Augment
from ops.augment.crop_flip import CropFlip
from ops.augment.nothing import Nothing
from ops.augment.timm import Timm
from pipelines.data import Data
from pipelines.train_images import ImageList, list_images, listed_of
from pipelines.train_loading import LoadSteps, Share
from pipelines.train_read import Refused, read_all
from pipelines.train_recipe import TrainRecipe

BATCH = 6
DIGITS = Data.model_validate(
    {"source": "digits", "split": "train", "subset": "first:20"}
)


@pytest.fixture(scope="module")
def digits() -> ImageList:
    return listed_of([(DIGITS, 1.0)])


def loader(share: Share, augment: Augment, seed: int = 0) -> LoadSteps:
    return LoadSteps(None, augment, seed, BATCH, share)


@pytest.mark.parametrize("augment", [Nothing(), CropFlip(), Timm(size=8)])
def test_shares_of_two_workers_are_the_batch_of_one(
    digits: ImageList, augment: Augment
) -> None:
    whole, _ = loader(Share(0, 1), augment).read_steps(digits, 0, 4)
    shares = [
        loader(Share(rank, 2), augment).read_steps(digits, 0, 4) for rank in (0, 1)
    ]

    assert np.array_equal(np.concatenate([s for s, _ in shares], axis=1), whole)


@pytest.mark.parametrize("augment", [Nothing(), CropFlip(), Timm(size=8)])
def test_a_step_is_the_same_in_whatever_row_it_is_read(
    digits: ImageList, augment: Augment
) -> None:
    together, positions = loader(Share(0, 1), augment).read_steps(digits, 0, 5)

    alone, found = loader(Share(0, 1), augment).read_steps(digits, 3, 1)

    assert np.array_equal(alone[0], together[3])
    assert np.array_equal(found[0], positions[3])


def test_an_image_looks_different_in_the_next_pass(digits: ImageList) -> None:
    pixels, positions = loader(Share(0, 1), CropFlip()).read_steps(digits, 0, 7)
    flat, places = pixels.reshape(-1, 1, 8, 8), positions.reshape(-1)

    first, second = np.flatnonzero(places == places[0])[:2]

    assert not np.array_equal(flat[first], flat[second])


def test_pixels_are_those_that_are_certified(digits: ImageList) -> None:
    pixels, positions = loader(Share(0, 1), Nothing()).read_steps(digits, 0, 1)

    entries = digits.entries(positions[0])
    contents = DIGITS.source.read(entries)
    for image, content, entry in zip(pixels[0], contents, entries, strict=True):
        expected = decode(content, "none", key=entry.key)
        assert np.array_equal(image.astype(np.float32) / np.float32(255), expected)


def test_images_stay_with_their_labels_and_in_the_range_of_pixels() -> None:
    data = Data.model_validate({"source": "digits", "split": "train"})
    image, label = read_all(data)

    assert image.shape[1:] == (1, 8, 8)
    assert image.min() == 0.0
    assert image.max() == 1.0
    # A drawn 0 is hollow, a drawn 1 is not.
    centre = image[:, 0, 3:5, 3:5].mean(axis=(1, 2))
    assert centre[label == 0].mean() < centre[label == 1].mean() - 0.3


def test_extra_images_come_after_the_own_ones_with_their_weight() -> None:
    fields: dict[str, Any] = {
        "data": DIGITS,
        "extra": {
            "data": {"source": "digits", "split": "train", "subset": "stride:2:1"},
            "weight": 0.5,
        },
        "network": {"kind": "digits_cnn"},
        "objective": {"kind": "gaussian", "sigma_train": 0.25},
        "optimiser": {"steps": 99, "batch": 4, "learning_rate": 0.001},
    }

    listed = list_images(TrainRecipe.model_validate(fields))

    assert len(listed) == 20 + 500
    assert listed.weight[:20].tolist() == [1.0] * 20
    assert set(listed.weight[20:].tolist()) == {0.5}
    both = DIGITS.source.entries()
    assert listed.keys([0, 20]) == [both[0].key, both[1].key]
    changed = listed.labelled(1, np.full(500, 3))
    assert np.array_equal(changed.label[:20], listed.label[:20])
    assert set(changed.label[20:].tolist()) == {3}


def folder_with(tmp_path: Path, sizes: dict[str, tuple[int, int]]) -> ImageList:
    for name, size in sizes.items():
        path = tmp_path / "n01440764" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", size).save(path)
    data = Data.model_validate({"source": "class_folders", "path": str(tmp_path)})
    return listed_of([(data, 1.0)])


def test_images_of_two_sizes_are_refused_by_name(tmp_path: Path) -> None:
    listed = folder_with(tmp_path, {"a": (8, 8), "b": (8, 9)})

    with pytest.raises(Refused, match=r"images of one size; .*\(3, 9, 8\)"):
        LoadSteps(None, Nothing(), 0, 2, Share(0, 1)).read_steps(listed, 0, 1)


def test_a_damaged_image_is_refused_by_name(tmp_path: Path) -> None:
    listed = folder_with(tmp_path, {"a": (8, 8), "b": (8, 8)})
    (tmp_path / "n01440764" / "b.png").write_bytes(b"\x89PNG")

    with pytest.raises(Refused, match=r"cannot use an image.*b"):
        LoadSteps(None, Nothing(), 0, 2, Share(0, 1)).read_steps(listed, 0, 1)
