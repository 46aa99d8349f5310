"""How far a pass that traces is."""

import time
from collections.abc import Sequence

import numpy as np

from infra.object_store import Store
from ops.vote.streams import num_copies
from pipelines.units import Wave
from pipelines.vote_rows import read_votes


class TraceTally:
    """Counts the purified copies of a wave, whatever is voted on each."""

    at_most = False

    certified_percent = None

    def __init__(self, store: Store, wave: Wave, block: int) -> None:
        """Begin with what is there.

        Args:
            store: of OUT.
            wave: images and their blocks that are there.
            block: copies in a block.
        """
        self._store, self._block = store, block
        self._present = {s: there.copy() for s, there in wave.present.items()}
        self._rows = {entry.key: row for row, entry in enumerate(wave.entries)}
        self._begun = time.monotonic()
        self._before = self.num_votes

    @property
    def num_votes(self) -> int:
        """Copies of the wave that have their votes."""
        held = self._present.items()
        return sum(int(there.sum()) * num_copies(s, self._block) for s, there in held)

    @property
    def votes_wanted(self) -> int:
        """Copies of the wave."""
        held = self._present.items()
        return sum(there.size * num_copies(s, self._block) for s, there in held)

    @property
    def num_images(self) -> int:
        """Images of which nothing is missing."""
        whole = [there.all(axis=1) for there in self._present.values()]
        return int(np.logical_and.reduce(whole).sum())

    def take(self, names: Sequence[str]) -> None:
        """Read files that are new.

        Args:
            names: of one file of each unit.
        """
        rows = read_votes(self._store, names).rows
        columns = (rows[n].to_pylist() for n in ("image_key", "stream", "block"))
        for key, stream, block in zip(*columns, strict=True):
            if key in self._rows and block < self._present[stream].shape[1]:
                self._present[stream][self._rows[key], block] = True

    @property
    def votes_per_second(self) -> float:
        """Of this pass."""
        seconds = max(1e-9, time.monotonic() - self._begun)
        return (self.num_votes - self._before) / seconds
