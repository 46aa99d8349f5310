"""From a data set to the pixels that are certified: read, decode, resize, crop."""

import io
from typing import Annotated

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from infra.preprocess import preprocess_of
from infra.sources.content import DAMAGED, Content
from infra.sources.digits import Digits
from infra.sources.layout import Layout
from infra.sources.manifest import Manifest

Source = Annotated[Digits | Layout | Manifest, Field(discriminator="source")]


class UnreadableImage(ValueError):
    """An image that cannot be decoded; becomes a row with radius 0."""


def decode(content: Content, preprocess: str, *, key: str) -> np.ndarray:
    """Return an image as it is certified.

    Encoded images become RGB whatever their colours; pixels keep their channels.

    Args:
        content: what a source's ``read`` returned.
        preprocess: resize and crop, named as in a recipe (``infra.preprocess``).
        key: the image's name, for the error.

    Returns:
        float32 ``channel height width`` in [0, 1].

    Raises:
        UnreadableImage: the bytes are no image of at most 8 bits per channel.
        ValueError: no preprocessing has that name.
    """
    if isinstance(content, bytes):
        image = _open_rgb(content, key)
    else:
        image = Image.fromarray(content)
    pixels = np.asarray(preprocess_of(preprocess)(image))
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255)


def _open_rgb(content: bytes, key: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except UnidentifiedImageError as error:
        raise _unreadable(content, key, "no format that Pillow knows") from error
    except DAMAGED as error:
        raise _unreadable(content, key, str(error)) from error
    if image.mode.startswith(("I", "F")):
        raise UnreadableImage(
            f"Image {key!r} needs at most 8 bits per channel; it has mode "
            f"{image.mode}. Convert the file to 8 bits."
        )
    return image.convert("RGB")


def _unreadable(content: bytes, key: str, reason: str) -> UnreadableImage:
    return UnreadableImage(
        f"Image {key!r} needs to be a file that Pillow can decode; its {len(content)} "
        f"bytes give: {reason}. Fetch the file again."
    )
