from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from infra.preprocess import INTERPOLATIONS, certified_input, preprocess_of

SIZES = [
    (500, 375), (375, 500), (256, 256), (257, 333), (100, 61), (641, 427), (90, 1500),
    (61, 33), (1, 9), (1025, 768),
]  # fmt: skip
"""Widths and heights: of photographs, odd, too small, and long."""


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Return an image of independent random pixels."""
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and np.array_equal(np.asarray(one), np.asarray(other))


def adm_center(image: Image.Image, size: int) -> np.ndarray:
    """Return the central square as the ADM paper's data loader defines it."""
    halvings = max(0, (min(image.size) // size).bit_length() - 1)
    for _ in range(halvings):
        half = [side // 2 for side in image.size]
        image = transforms.Resize(half[::-1], InterpolationMode.BOX)(image)
    shorter = min(image.size)
    width, height = (round(Fraction(side * size, shorter)) for side in image.size)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    top, left = (height - size) // 2, (width - size) // 2
    return pixels[top : top + size, left : left + size]


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", SIZES)
def test_none_leaves_the_image_alone(size: tuple[int, int], mode: str) -> None:
    image = photo(*size, mode)
    assert same(preprocess_of("none")(image), image)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", SIZES)
def test_cohen_224_is_torchvisions_resize_and_crop(
    size: tuple[int, int], mode: str
) -> None:
    theirs = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    image = photo(*size, mode)
    assert same(preprocess_of("cohen_224")(image), theirs(image))
    assert same(preprocess_of("resize_crop:256:224:bilinear")(image), theirs(image))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("resize", "crop"), [(64, 64), (73, 32), (33, 32), (48, 47)])
@pytest.mark.parametrize("size", SIZES)
def test_resize_crop_is_torchvisions(
    size: tuple[int, int], resize: int, crop: int, interpolation: str
) -> None:
    theirs = transforms.Compose(
        [
            transforms.Resize(resize, InterpolationMode(interpolation)),
            transforms.CenterCrop(crop),
        ]
    )
    image = photo(*size)
    ours = preprocess_of(f"resize_crop:{resize}:{crop}:{interpolation}")(image)
    assert ours.size == (crop, crop)
    assert same(ours, theirs(image))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size", SIZES)
def test_squash_is_torchvisions_resize_to_both_sides(
    size: tuple[int, int], interpolation: str
) -> None:
    theirs = transforms.Resize((64, 64), InterpolationMode(interpolation))
    image = photo(*size)
    ours = preprocess_of(f"squash:64:{interpolation}")(image)
    assert same(ours, theirs(image))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("target", [32, 64, 101, 256])
@pytest.mark.parametrize("size", SIZES)
def test_adm_center_is_what_its_definition_gives(
    size: tuple[int, int], target: int, mode: str
) -> None:
    image = photo(*size, mode)
    ours = np.asarray(preprocess_of(f"adm_center:{target}")(image))
    assert ours.shape[:2] == (target, target)
    assert np.array_equal(ours, adm_center(image, target))


def test_adm_center_halves_by_the_mean_of_four_pixels() -> None:
    image = photo(64, 64, "L")
    pixels = np.asarray(image, np.float64)
    means = pixels.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    ours = np.asarray(preprocess_of("adm_center:32")(image), np.float64)
    # Pillow rounds to whole levels along one side, then along the other.
    assert np.abs(ours - means).max() <= 1


def test_adm_center_of_an_odd_margin_begins_above_and_left_of_the_middle() -> None:
    image = photo(37, 32)
    ours = np.asarray(preprocess_of("adm_center:32")(image))
    assert np.array_equal(ours, np.asarray(image)[:, 2:34])


@pytest.mark.parametrize(
    ("name", "size", "interpolation"),
    [
        ("none", None, None),
        ("cohen_224", 224, "bilinear"),
        ("resize_crop:256:200:bicubic", 200, "bicubic"),
        ("adm_center:64", 64, "box, bicubic"),
        ("squash:256:lanczos", 256, "lanczos"),
    ],
)
def test_size_and_interpolation_are_recorded(
    name: str, size: int | None, interpolation: str | None
) -> None:
    assert certified_input(name) == {
        "preprocess": name,
        "height": size,
        "width": size,
        "interpolation": interpolation,
    }


@pytest.mark.parametrize(
    "name",
    [
        "",
        "cohen",
        "cohen_224:1",
        "adm_center",
        "adm_center:0",
        "adm_center:064",
        "adm_center:64:bicubic",
        "resize_crop:256:224",
        "resize_crop:256:224:cubic",
        "resize_crop:256:-1:bicubic",
        "squash:256",
        "squash:256:bilinear\n",
    ],
)
def test_a_name_that_means_nothing_is_refused_with_those_that_do(name: str) -> None:
    with pytest.raises(ValueError, match="preprocess needs none, cohen_224") as info:
        preprocess_of(name)
    assert repr(name) in str(info.value)


def test_a_crop_that_would_need_a_border_is_refused() -> None:
    with pytest.raises(ValueError, match="crop of 225 from 224"):
        preprocess_of("resize_crop:224:225:bilinear")
