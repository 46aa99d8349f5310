"""Which blocks of which images are there, stream by stream, a byte each."""

from collections.abc import Iterable

import numpy as np

_NOTHING = np.zeros((0, 0), bool)


class SeenBlocks:
    """The blocks that were found, of images by their number."""

    def __init__(self) -> None:
        self._held: dict[str, np.ndarray] = {}

    def add(self, stream: str, images: np.ndarray, blocks: np.ndarray) -> None:
        """Take notice of some blocks; one before the first of a stream is none.

        Args:
            stream: whose blocks.
            images: number of the image of each.
            blocks: number of each in the stream.
        """
        images, blocks = images[blocks >= 0], blocks[blocks >= 0]
        if not len(blocks):
            return
        held = self._held.get(stream, _NOTHING)
        rows, width = int(images.max()) + 1, int(blocks.max()) + 1
        if rows > held.shape[0] or width > held.shape[1]:
            shape = (_grown(held.shape[0], rows), max(held.shape[1], width))
            wider = np.zeros(shape, bool)
            wider[: held.shape[0], : held.shape[1]] = held
            held = wider
        held[images, blocks] = True
        self._held[stream] = held

    def present(self, images: np.ndarray, stream: str, num_blocks: int) -> np.ndarray:
        """Return which blocks of some images are there.

        Args:
            images: their numbers; negative for one that has none.
            stream: whose blocks.
            num_blocks: the prefix ``[0, num_blocks)`` is looked at.

        Returns:
            bool ``image block``.
        """
        found = np.zeros((len(images), num_blocks), bool)
        held = self._held.get(stream, _NOTHING)
        known = (images >= 0) & (images < len(held))
        width = min(num_blocks, held.shape[1])
        found[known, :width] = held[images[known], :width]
        return found

    def images_with(self, streams: Iterable[str]) -> set[int]:
        """Return the numbers of the images that have blocks in one of some streams."""
        rows = (self._held.get(stream, _NOTHING).any(axis=1) for stream in streams)
        return {int(image) for own in rows for image in np.flatnonzero(own)}

    def num_blocks(self) -> dict[str, int]:
        """Return how many different blocks there are, by stream."""
        return {stream: int(held.sum()) for stream, held in self._held.items()}


def _grown(have: int, need: int) -> int:
    """Return room for so many, and for some more if it is made anew."""
    return have if need <= have else max(need, have + have // 2)
