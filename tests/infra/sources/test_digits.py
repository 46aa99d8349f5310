import numpy as np
import pytest
from pydantic import ValidationError

from infra.sources.digits import Digits


@pytest.fixture(scope="module")
def splits() -> dict[str, list]:
    return {split: Digits(split=split).entries() for split in ("train", "tune", "test")}


def test_the_splits_share_no_image_and_miss_none(splits: dict[str, list]) -> None:
    keys = [entry.key for entries in splits.values() for entry in entries]
    assert sorted(keys) == [f"digits_{index:04d}" for index in range(1797)]


def test_the_splits_never_change(splits: dict[str, list]) -> None:
    sizes = {split: len(entries) for split, entries in splits.items()}
    assert sizes == {"train": 1001, "tune": 177, "test": 619}


def test_every_split_has_every_class(splits: dict[str, list]) -> None:
    for entries in splits.values():
        assert {entry.label for entry in entries} == set(range(10))


def test_pixels_are_the_stored_intensities_on_255(splits: dict[str, list]) -> None:
    everything = [entry for entries in splits.values() for entry in entries]
    first = next(entry for entry in everything if entry.key == "digits_0000")
    (image,) = Digits().read([first])
    assert first.label == 0
    assert image.dtype == np.uint8
    assert image.shape == (8, 8)
    # The first image of the data set begins with intensities 0 0 5 13 9 1 0 0.
    assert image[0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]


def test_images_come_in_the_order_asked_for(splits: dict[str, list]) -> None:
    one, two = splits["test"][:2]
    forward, backward = Digits().read([one, two]), Digits().read([two, one])
    assert np.array_equal(forward[0], backward[1])
    assert np.array_equal(forward[1], backward[0])
    assert not np.array_equal(forward[0], forward[1])


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValidationError):
        Digits.model_validate({"source": "digits", "split": "validation"})


def test_the_name_is_digits_unless_said_otherwise() -> None:
    assert Digits().name == "digits"
    assert Digits(dataset="optdigits").name == "optdigits"
