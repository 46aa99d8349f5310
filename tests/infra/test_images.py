import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from torchvision import transforms

from infra.images import Source, UnreadableImage, decode
from infra.sources.class_folders import ClassFolders
from infra.sources.content import digest
from infra.sources.digits import Digits
from infra.sources.hf_parquet import HfParquet

TORCHVISION = transforms.Compose(
    [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """Return an image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def photo(width: int, height: int) -> Image.Image:
    """Return an image of independent random pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def test_digest_of_bytes_is_their_sha256() -> None:
    assert digest(b"abc") == hashlib.sha256(b"abc").hexdigest()


def test_digest_of_pixels_depends_on_values_shape_and_nothing_else() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert digest(pixels) == digest(np.asfortranarray(pixels))
    assert digest(pixels) != digest(pixels.reshape(4, 16))
    assert digest(pixels) != digest(pixels.T)


def test_png_pixels_come_back_exactly_as_float32_channel_first() -> None:
    original = photo(5, 3)
    pixels = decode(encoded(original), "none", key="a")
    assert pixels.shape == (3, 3, 5)
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    assert (np.rint(pixels * 255).transpose(1, 2, 0) == np.asarray(original)).all()
    assert pixels.max() <= 1
    assert pixels.min() >= 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_grey_file_becomes_three_equal_channels(kind: str) -> None:
    pixels = decode(encoded(Image.new("L", (16, 16), 77), kind), "none", key="a")
    assert np.array_equal(pixels, np.full((3, 16, 16), 77 / 255, np.float32))


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    pixels = decode(encoded(red, "JPEG"), "none", key="a")
    assert np.allclose(pixels.mean(axis=(1, 2)), [1, 0, 0], atol=0.02)


def test_a_palette_png_becomes_rgb() -> None:
    image = Image.new("RGB", (4, 4), (10, 200, 30)).convert("P", palette=1)
    pixels = decode(encoded(image), "none", key="a")
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(np.rint(pixels * 255), expected)


def test_grey_pixels_stay_one_channel() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    pixels = decode(image, "none", key="a")
    assert np.array_equal(pixels, image[np.newaxis] / np.float32(255))
    assert decode(image, "cohen_224", key="a").shape == (1, 224, 224)


def test_colour_pixels_become_channel_first() -> None:
    image = np.asarray(photo(5, 3))
    assert np.array_equal(
        decode(image, "none", key="a"), decode(encoded(photo(5, 3)), "none", key="a")
    )


@pytest.mark.parametrize(
    ("width", "height"),
    [(500, 375), (375, 500), (256, 256), (257, 333), (100, 61), (641, 427), (90, 1500)],
)
def test_cohen_224_equals_torchvision_on_pillow_images(width: int, height: int) -> None:
    image = photo(width, height)
    assert np.array_equal(
        decode(encoded(image), "cohen_224", key="a"), TORCHVISION(image).numpy()
    )


def test_a_file_that_ends_early_is_unreadable_by_name() -> None:
    content = encoded(photo(64, 64), "JPEG")
    with pytest.raises(UnreadableImage, match=r"'image_7' needs .* truncated"):
        decode(content[: len(content) // 2], "none", key="image_7")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>"])
def test_bytes_of_no_image_are_unreadable_always_with_the_same_words(
    content: bytes,
) -> None:
    reasons = set()
    for _ in range(2):
        with pytest.raises(
            UnreadableImage, match="no format that Pillow knows"
        ) as info:
            decode(content, "none", key="image_7")
        reasons.add(str(info.value))
    assert len(reasons) == 1


@pytest.mark.parametrize("place", [20, 60, 200])
def test_a_damaged_png_is_unreadable(place: int) -> None:
    content = bytearray(encoded(photo(16, 16)))
    content[place : place + 8] = b"\xff" * 8
    with pytest.raises(UnreadableImage):
        decode(bytes(content), "none", key="a")


def test_sixteen_bits_are_refused_and_not_clipped() -> None:
    deep = Image.fromarray(np.full((4, 4), 40_000, np.uint16))
    with pytest.raises(UnreadableImage, match="at most 8 bits per channel"):
        decode(encoded(deep), "none", key="a")


def test_a_source_is_chosen_by_its_name() -> None:
    adapter = TypeAdapter(Source)
    assert adapter.validate_python({"source": "digits"}) == Digits(split="test")
    for source in (HfParquet(path="a.parquet"), ClassFolders(path="val")):
        assert adapter.validate_python(source.model_dump()) == source
    with pytest.raises(ValidationError, match="colour"):
        adapter.validate_python({"source": "digits", "colour": "red"})


def test_real_photos_decode_as_with_torchvision() -> None:
    folder = Path(os.environ.get("DIFFSMOOTH_DATA", "")) / "imagenet_val_sample"
    if "DIFFSMOOTH_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("DIFFSMOOTH_DATA names no folder with imagenet_val_sample")
    source = ClassFolders(path=str(folder))
    entries = source.entries()
    assert [entry.label for entry in entries] == list(range(0, 1000, 20))
    for entry, content in zip(entries, source.read(entries), strict=True):
        expected = TORCHVISION(Image.open(io.BytesIO(content)).convert("RGB"))
        pixels = decode(content, "cohen_224", key=entry.key)
        assert np.array_equal(pixels, expected.numpy()), entry.key
