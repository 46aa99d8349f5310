"""From images of a training to their pixels: read, decode, augment."""

from functools import cache
from typing import Any

import numpy as np

from infra.images import UnreadableImage, decode
from ops.augment.augment import Augment
from ops.augment.nothing import Nothing
from pipelines.data import Data
from pipelines.train_images import ImageList, listed_of

WORDS = 4
"""Random words for the augmentation of an image."""


class Refused(ValueError):
    """Images that cannot be trained on."""


def read(
    listed: ImageList, positions: np.ndarray, augment: Augment, words: np.ndarray
) -> np.ndarray:
    """Return the pixels of some images.

    Args:
        listed: all images.
        positions: int64 ``image``.
        augment: what happens to each.
        words: int64 ``image 4``: the random bits of each.

    Returns:
        uint8 ``image channel height width``.

    Raises:
        Refused: an image cannot be decoded, or has another size than the first.
    """
    change = _opened(augment)
    # Small data sets come round several times in one call.
    distinct, which = np.unique(positions, return_inverse=True)
    own_size = augment.kind == "timm"
    images = _decoded_all(listed, distinct, own_size=own_size)
    made = []
    for index, image in enumerate(which):
        changed = change(images[image], words[index]).transpose(2, 0, 1)
        if made and changed.shape != made[0].shape:
            odd, first = listed.keys(positions[[index, 0]])
            raise Refused(
                f"A training needs images of one size; {odd!r} has channel x "
                f"height x width {changed.shape}, {first!r} {made[0].shape}. Set "
                f"data.preprocess, or augment.kind to timm."
            )
        made.append(changed)
    return np.stack(made)


def _decoded_all(
    listed: ImageList, positions: np.ndarray, *, own_size: bool
) -> list[np.ndarray]:
    """Return images ``height width channel``, as they are stored or as certified."""
    images: list[Any] = [None] * len(positions)
    for part, data in enumerate(listed.sources):
        places = np.flatnonzero(listed.part[positions] == part)
        entries = listed.entries(positions[places])
        contents = data.source.read(entries)
        preprocess = "none" if own_size else data.preprocess
        for place, entry, content in zip(places, entries, contents, strict=True):
            images[place] = _decoded(content, preprocess, entry.key)
    return images


@cache
def _opened(augment: Augment) -> Any:
    return augment.open()


def _decoded(content: Any, preprocess: str, key: str) -> np.ndarray:
    try:
        image = decode(content, preprocess, key=key)
    except UnreadableImage as error:
        raise Refused(f"A training cannot use an image. {error}") from error
    # Pixels are whole numbers of 255ths: this loses nothing.
    return np.rint(255 * image).astype(np.uint8).transpose(1, 2, 0)


def read_all(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Return all images of some data, for what fits in memory.

    Args:
        data: images of one size.

    Returns:
        float32 ``image channel height width`` in [0, 1], and int64 labels.

    Raises:
        Refused: an image cannot be decoded, or sizes differ.
    """
    listed = listed_of([(data, 1.0)])
    positions = np.arange(len(listed))
    words = np.zeros((len(listed), WORDS), dtype=np.int64)
    pixels = read(listed, positions, Nothing(), words)
    return pixels.astype(np.float32) / np.float32(255), listed.label
