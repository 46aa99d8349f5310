"""An image as its data set stores it: its digest and its size."""

import hashlib
import io
import struct

import numpy as np
from PIL import Image

Content = bytes | np.ndarray
"""An encoded image, or uint8 pixels ``height width`` or ``height width channel``."""

DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for damaged files of the formats it knows."""


def digest(content: Content) -> str:
    """Return the SHA-256 of an image as it lies in its data set, in hexadecimal.

    Pixels that come without an encoding are hashed with their type and shape.
    """
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    head = f"{content.dtype.str}{content.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(content).tobytes()).hexdigest()


def num_bytes(content: Content) -> int:
    """Return how many bytes an image takes as it is read."""
    return len(content) if isinstance(content, bytes) else content.nbytes


def image_size(content: Content) -> tuple[int, int]:
    """Return width and height in pixels of an image that can be decoded to its end.

    Raises:
        ValueError: Pillow cannot decode it; the message is the reason.
    """
    if not isinstance(content, bytes):
        return content.shape[1], content.shape[0]
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return image.size
    except Image.UnidentifiedImageError as error:
        raise ValueError("no format that Pillow knows") from error
    except DAMAGED as error:
        raise ValueError(str(error)) from error


def from_planes(record: bytes, side: int) -> np.ndarray:
    """Return pixels that are stored as a red, a green and a blue plane.

    Args:
        record: ``3 side side`` bytes.
        side: height and width, in pixels.

    Returns:
        uint8 ``height width channel``.
    """
    planes = np.frombuffer(record, np.uint8).reshape(3, side, side)
    return np.ascontiguousarray(planes.transpose(1, 2, 0))
