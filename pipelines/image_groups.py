"""Images in groups that are certified together, because their votes lie together."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pipelines.ledger import precedence
from pipelines.ledger_index import LedgerIndex

IMAGES_PER_GROUP = 500
"""Images whose votes are in memory at once, at most."""


@dataclass(frozen=True)
class ImageGroup:
    """Some images and the vote files that hold their votes."""

    keys: tuple[str, ...]
    labels: tuple[int, ...]
    """True class of each."""

    files: tuple[str, ...]
    """In the order they count."""

    @property
    def label_of(self) -> dict[str, int]:
        """True class by image key."""
        return dict(zip(self.keys, self.labels, strict=True))


def image_groups(
    index: LedgerIndex, labels: Mapping[str, int], size: int = IMAGES_PER_GROUP
) -> Iterator[ImageGroup]:
    """Yield images in groups of which each lies in few files.

    Args:
        index: knows which files hold which image.
        labels: true class by image key, of the images wanted.
        size: images in a group at most; groups are about equally large.

    Yields:
        Every image once, with votes or without.
    """
    held = dict(zip(labels, index.files_of(list(labels)), strict=True))

    def place(key: str) -> tuple[list[tuple[bool, str]], str]:
        return [precedence(name) for name in held[key][:1]], key

    order = np.array(sorted(labels, key=place), object)
    for part in np.array_split(order, max(1, math.ceil(len(order) / size))):
        keys = tuple(part.tolist())
        files = {name for key in keys for name in held[key]}
        yield ImageGroup(
            keys,
            tuple(labels[key] for key in keys),
            tuple(sorted(files, key=precedence)),
        )
