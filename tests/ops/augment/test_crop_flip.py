import numpy as np

from ops.augment.crop_flip import CropFlip
from ops.noise import random_words

IMAGE = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) + 1


def words(num: int) -> np.ndarray:
    return random_words(7, 0, 4 * num).numpy().reshape(num, 4)


def test_without_padding_or_flips_nothing_changes() -> None:
    change = CropFlip(padding=0, flip=False).open()

    assert all(np.array_equal(change(IMAGE, word), IMAGE) for word in words(20))


def test_every_other_image_is_mirrored() -> None:
    change = CropFlip(padding=0).open()

    made = [change(IMAGE, word) for word in words(400)]

    mirrored = [np.array_equal(one, IMAGE[:, ::-1]) for one in made]
    assert all(
        m or np.array_equal(one, IMAGE) for m, one in zip(mirrored, made, strict=True)
    )
    assert abs(np.mean(mirrored) - 0.5) < 4 * 0.5 / np.sqrt(400)  # four standard errors


def test_crops_shift_by_each_of_all_offsets_alike_and_fill_with_black() -> None:
    image = np.zeros((5, 5, 1), dtype=np.uint8)
    image[2, 2] = 9
    change = CropFlip(padding=1, flip=False).open()

    found = [tuple(np.argwhere(change(image, w)[..., 0])[0]) for w in words(900)]

    counts = {place: found.count(place) for place in set(found)}
    assert set(counts) == {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}
    # Four standard errors of a count whose mean is 100.
    assert all(abs(count - 100) < 4 * np.sqrt(100) for count in counts.values())


def test_an_image_follows_from_its_words_alone() -> None:
    change = CropFlip().open()
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    first, second = words(2)

    assert np.array_equal(change(image, first), CropFlip().open()(image, first))
    assert not np.array_equal(change(image, first), change(image, second))
