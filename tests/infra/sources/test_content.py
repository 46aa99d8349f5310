import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from infra.sources.content import digest, from_planes, image_size, num_bytes


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_the_size_is_width_then_height() -> None:
    assert image_size(png(5, 3)) == (5, 3)
    assert image_size(np.zeros((3, 5, 3), np.uint8)) == (5, 3)


def test_an_image_that_ends_too_early_has_no_size() -> None:
    whole = png(500, 300)
    assert image_size(whole) == (500, 300)
    with pytest.raises(ValueError, match="truncated"):
        image_size(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8"]
)
def test_what_is_no_image_has_no_size(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        image_size(content)


def test_bytes_are_counted_as_stored() -> None:
    assert num_bytes(b"four") == 4
    assert num_bytes(np.zeros((2, 3, 3), np.uint8)) == 18


def test_the_digest_of_a_file_is_that_of_its_bytes() -> None:
    assert digest(b"abc") == hashlib.sha256(b"abc").hexdigest()


def test_the_digest_of_pixels_tells_shape_and_values_apart() -> None:
    pixels = np.arange(12, dtype=np.uint8)
    digests = {
        digest(pixels.reshape(3, 4)),
        digest(pixels.reshape(4, 3)),
        digest(pixels.reshape(3, 4) + 1),
        digest(pixels.reshape(3, 4).astype(np.int16)),
        digest(pixels.tobytes()),
    }
    assert len(digests) == 5
    assert digest(pixels.reshape(3, 4).T.copy().T) == digest(pixels.reshape(3, 4))


def test_planes_become_pixels() -> None:
    pixels = from_planes(bytes(range(12)), 2)
    assert pixels.tolist() == [[[0, 4, 8], [1, 5, 9]], [[2, 6, 10], [3, 7, 11]]]
