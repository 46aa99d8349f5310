"""The images of a training before they are read: packed, so that workers share them."""

import hashlib
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from infra.sources.content import digest
from infra.sources.entry import Entry
from infra.subsets import select
from pipelines.data import Data
from pipelines.train_recipe import TrainRecipe

_LOOKED_AT = 2_000
"""Images of which a digest has the content, at most."""


@dataclass(frozen=True)
class ImageList:
    """All images of a training; in Ray's object store no process copies its arrays."""

    sources: tuple[Data, ...]
    """The data set's own, then the extra one if there is one."""

    packed: np.ndarray
    """uint8 ``byte``: pickled entries, one after another."""

    ends: np.ndarray
    """int64 ``image``: where each entry ends in ``packed``."""

    part: np.ndarray
    """int8 ``image``: which of ``sources`` it is of."""

    label: np.ndarray
    """int64 ``image``: classes."""

    weight: np.ndarray
    """float32 ``image``: how much each counts."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ends)

    def sizes(self) -> tuple[int, int]:
        """Return how many images are the data set's own, and how many extra ones."""
        return int((self.part == 0).sum()), int((self.part == 1).sum())

    def entries(self, positions: Sequence[int] | np.ndarray) -> list[Entry]:
        """Return what is known of some images.

        Args:
            positions: indices of images, from 0.
        """
        return [self._entry(int(position)) for position in positions]

    def keys(self, positions: Sequence[int] | np.ndarray) -> list[str]:
        """Return the names of some images."""
        return [entry.key for entry in self.entries(positions)]

    def labelled(self, part: int, label: np.ndarray) -> "ImageList":
        """Return the list with other classes for the images of one source."""
        changed = self.label.copy()
        changed[self.part == part] = label
        return replace(self, label=changed)

    def _entry(self, position: int) -> Entry:
        first = 0 if position == 0 else int(self.ends[position - 1])
        return pickle.loads(self.packed[first : int(self.ends[position])].tobytes())


def images_digest(listed: ImageList) -> str:
    """Return what names the images of a training, wherever they lie.

    Args:
        listed: all images.

    Returns:
        SHA-256, in hexadecimal, of keys, labels and weights, and of the content of up
        to 2,000 images at even distances.
    """
    total = hashlib.sha256()
    for key in listed.keys(range(len(listed))):
        total.update(f"{key}\0".encode())
    total.update(listed.label.tobytes() + listed.weight.tobytes())
    looked_at = np.unique(np.linspace(0, len(listed) - 1, _LOOKED_AT).astype(np.int64))
    for part, data in enumerate(listed.sources):
        own = looked_at[listed.part[looked_at] == part]
        for content in data.source.read(listed.entries(own)):
            total.update(digest(content).encode())
    return total.hexdigest()


def list_images(recipe: TrainRecipe) -> ImageList:
    """List the images of a training, those of the extra data last.

    Args:
        recipe: says which.

    Raises:
        ValueError: a source has no images, or not those of its subset.
    """
    parts = [(recipe.data, 1.0)]
    if recipe.extra is not None:
        parts.append((recipe.extra.data, recipe.extra.weight))
    return listed_of(parts)


def listed_of(parts: Sequence[tuple[Data, float]]) -> ImageList:
    """List the images of some data, each with a weight.

    Raises:
        ValueError: a source has no images, or not those of its subset.
    """
    listed = [
        (index, weight, entry)
        for index, (data, weight) in enumerate(parts)
        for entry in select(data.source.entries(), data.subset)
    ]
    pickles = list(_pickled(entry for _, _, entry in listed))
    return ImageList(
        sources=tuple(data for data, _ in parts),
        packed=np.frombuffer(b"".join(pickles), dtype=np.uint8),
        ends=np.cumsum([len(each) for each in pickles], dtype=np.int64),
        part=np.array([index for index, _, _ in listed], dtype=np.int8),
        label=np.array([entry.label for _, _, entry in listed], dtype=np.int64),
        weight=np.array([weight for _, weight, _ in listed], dtype=np.float32),
    )


def _pickled(entries: Iterator[Entry]) -> Iterator[bytes]:
    for entry in entries:
        yield pickle.dumps(entry, protocol=pickle.HIGHEST_PROTOCOL)
