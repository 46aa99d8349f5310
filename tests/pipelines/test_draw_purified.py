"""The picture of purified images: its size, and every pixel where it belongs."""

import io

import numpy as np
import pytest
from PIL import Image

from pipelines.draw_purified import GAP, LEAST_PIXELS, draw_purified, size_of

RANDOM = np.random.default_rng(0)


def rows_of(
    channels: int, side: int, labels: tuple[str, ...] = ("clean", "a")
) -> dict[str, np.ndarray]:
    shape = (3, channels, side, side + 1)
    return {label: RANDOM.integers(0, 256, shape, np.uint8) for label in labels}


def pixels_of(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


@pytest.mark.parametrize(
    ("channels", "side", "scale"), [(1, 8, 12), (3, 32, 3), (3, 33, 3), (3, 100, 1)]
)
def test_every_pixel_of_an_image_is_a_square_of_its_colour_at_its_place(
    channels: int, side: int, scale: int
) -> None:
    rows = rows_of(channels, side)

    pixels = pixels_of(draw_purified(rows, "sigma 0.5"))

    assert scale * side >= LEAST_PIXELS
    height, width = scale * side, scale * (side + 1)
    bottom = pixels.shape[0]
    right = pixels.shape[1]
    for number, pictures in enumerate(reversed(rows.values())):
        for place, picture in enumerate(reversed(pictures)):
            last = bottom - GAP - number * (height + GAP)
            end = right - GAP - place * (width + GAP)
            shown = pixels[last - height : last, end - width : end]
            square = np.ones((scale, scale), np.uint8)
            exact = np.stack([np.kron(one, square) for one in picture], axis=-1)
            np.testing.assert_array_equal(shown, np.broadcast_to(exact, shown.shape))


@pytest.mark.parametrize("labels", [("a",), ("clean", "noisy", "a_long_name_indeed")])
def test_the_picture_has_the_size_that_was_promised(labels: tuple[str, ...]) -> None:
    rows = rows_of(1, 8, labels)

    width, height = size_of(rows)

    assert pixels_of(draw_purified(rows, "sigma 1")).shape == (height, width, 3)
    assert width > 3 * 9 * 12
    assert height > len(labels) * 8 * 12


def test_labels_stand_at_the_left_of_their_rows_and_none_is_cut() -> None:
    rows = {"first": np.full((1, 1, 8, 8), 255, np.uint8)}
    rows["a_name_of_25_letters_here"] = rows["first"]

    pixels = pixels_of(draw_purified(rows, ""))

    margin = pixels.shape[1] - 2 * GAP - 96
    dark = (pixels < 128).any(axis=2)
    assert not dark[:, :8].any()
    assert not dark[:, margin:].any()
    for number in range(2):
        bottom = pixels.shape[0] - GAP - (1 - number) * (96 + GAP)
        assert dark[bottom - 96 : bottom, :margin].any()


def test_the_same_images_give_the_same_bytes() -> None:
    rows = rows_of(3, 32)

    assert draw_purified(rows, "sigma 1") == draw_purified(rows, "sigma 1")
