"""From a data set to the pixels that are certified: choose, read, decode, crop."""

import hashlib
import io
import re
import struct
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from infra.sources.class_folders import ClassFolders
from infra.sources.digits import Digits
from infra.sources.entry import Entry
from infra.sources.hf_parquet import HfParquet

Source = Annotated[Digits | HfParquet | ClassFolders, Field(discriminator="source")]

Preprocess = Literal["none", "cohen_224"]
"""``cohen_224``: shorter side to 256, bilinear, then the central 224x224."""

Content = bytes | np.ndarray
"""An encoded image, or uint8 pixels ``height width`` or ``height width channel``."""

_SHORTER_SIDE, _CROP = 256, 224


class UnreadableImage(ValueError):
    """An image that cannot be decoded; becomes a row with radius 0."""


def select(entries: Sequence[Entry], subset: str) -> list[Entry]:
    """Return the named part of a data set.

    Args:
        entries: all images, in the data set's order.
        subset: ``full``; ``first:n``, the first n images; or ``stride:k``, the images
            at positions 0, k, 2k, ...

    Raises:
        ValueError: another text, a number below 1, more images than there are, or
            nothing to choose from.
    """
    rule = re.fullmatch(r"full|(first|stride):([1-9]\d*)", subset)
    if rule is None:
        raise ValueError(
            f"data.subset needs full, first:n or stride:k with a number of at least 1; "
            f"it is {subset!r}. Write for example first:200."
        )
    kind, number = rule[1], int(rule[2] or 1)
    if not entries or (kind == "first" and number > len(entries)):
        raise ValueError(
            f"data.subset {subset!r} needs at least {number} images; the data set has "
            f"{len(entries)}. Choose a smaller subset or full."
        )
    return list(entries[:number] if kind == "first" else entries[::number])


def digest(content: Content) -> str:
    """Return the SHA-256 of an image as it lies in its data set, in hexadecimal.

    Pixels that come without an encoding are hashed with their type and shape.
    """
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    head = f"{content.dtype.str}{content.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(content).tobytes()).hexdigest()


def decode(content: Content, preprocess: Preprocess, *, key: str) -> np.ndarray:
    """Return an image as it is certified.

    Encoded images become RGB whatever their colours; pixels keep their channels.

    Args:
        content: what a source's ``read`` returned.
        preprocess: resize and crop, done by Pillow on 8-bit pixels.
        key: the image's name, for the error.

    Returns:
        float32 ``channel height width`` in [0, 1].

    Raises:
        UnreadableImage: the bytes are no image of at most 8 bits per channel.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, ImageNet: the transforms
        Resize(256) and CenterCrop(224) of torchvision on Pillow images.
    """
    if isinstance(content, bytes):
        image = _open_rgb(content, key)
    else:
        image = Image.fromarray(content)
    pixels = np.asarray(_resize_and_crop(image) if preprocess == "cohen_224" else image)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255)


def _open_rgb(content: bytes, key: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except UnidentifiedImageError as error:
        raise _unreadable(content, key, "no format that Pillow knows") from error
    # What Pillow raises for damaged files of the formats it knows.
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
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


def _resize_and_crop(image: Image.Image) -> Image.Image:
    shorter = min(image.size)
    width, height = (int(_SHORTER_SIDE * side / shorter) for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (round((side - _CROP) / 2) for side in image.size)
    return image.crop((left, top, left + _CROP, top + _CROP))
