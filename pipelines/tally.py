"""Votes and certificates while they come in: what was there, and what is new."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import time
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store
from ops.vote.streams import num_copies
from pipelines.certificates import certify_votes
from pipelines.ledger import VOTES
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import Reading
from pipelines.vote_rows import read_votes


class Tally:
    """How many of the votes wanted are there; it keeps no votes of images half done.

    Only of images that had no vote before are votes kept until all are there, to say
    how many are certified.
    """

    at_most = False
    """Whether fewer votes than wanted may do."""

    def __init__(
        self,
        store: Store,
        reading: Reading,
        labels: Mapping[str, int],
        index: LedgerIndex,
        blocks: Mapping[str, int] | None = None,
    ) -> None:
        """Begin with what an index knows.

        Args:
            store: of OUT.
            reading: the rule of the run whose votes they are.
            labels: true class by key of the images asked for.
            index: of the votes that are there.
            blocks: number of blocks wanted by stream; ``None``: what certificates read.
        """
        self._store, self._reading, self._labels = store, reading, labels
        self._rows = {key: row for row, key in enumerate(labels)}
        wanted = blocks or reading.blocks
        keys = list(labels)
        self._present = {s: index.present(keys, s, num) for s, num in wanted.items()}
        held = [there.any(axis=1) for there in self._present.values()]
        self._fresh = ~np.logical_or.reduce(held)
        self._open = VOTES.empty_table()
        self._begun = time.monotonic()
        self._votes_before = self.num_votes
        self._num_new = 0
        self._num_certified = 0

    @property
    def num_votes(self) -> int:
        """Of those wanted, how many are there."""
        size = self._reading.run.sampling.block
        held = self._present.items()
        return sum(int(there.sum()) * num_copies(s, size) for s, there in held)

    @property
    def votes_wanted(self) -> int:
        """Of all images and streams."""
        size = self._reading.run.sampling.block
        wanted = self._present.items()
        return sum(there.size * num_copies(s, size) for s, there in wanted)

    @property
    def num_images(self) -> int:
        """Images of which nothing is missing."""
        return int(self._whole().sum())

    def _whole(self) -> np.ndarray:
        there = [held.all(axis=1) for held in self._present.values()]
        return np.logical_and.reduce(there)

    def take(self, names: Sequence[str]) -> None:
        """Read vote files that are new.

        Args:
            names: of the files.
        """
        votes = read_votes(self._store, names).rows.select(VOTES.names)
        before = self._whole()
        rows = self._mark(votes)
        self._open = pa.concat_tables([self._open, votes.filter(pa.array(rows))])
        done = np.flatnonzero(self._whole() & ~before & self._fresh)
        keys = list(self._labels)
        self._certify([keys[row] for row in done])

    def _mark(self, votes: pa.Table) -> np.ndarray:
        """Notice what is there now; return which rows are of images that were bare."""
        keep = np.zeros(len(votes), bool)
        columns = (votes[n].to_pylist() for n in ("image_key", "stream", "block"))
        for at, (key, stream, block) in enumerate(zip(*columns, strict=True)):
            row, held = self._rows.get(key), self._present.get(stream)
            if row is None or held is None or not 0 <= block < held.shape[1]:
                continue
            keep[at] = self._fresh[row] and not held[row, block]
            held[row, block] = True
        return keep

    def _certify(self, keys: Sequence[str]) -> None:
        if not keys or "estimate" not in self._present:
            return
        finished = pc.is_in(self._open["image_key"], pa.array(keys))
        votes = self._open.filter(finished)
        self._open = self._open.filter(pc.invert(finished))
        labels = {key: self._labels[key] for key in keys}
        certificates = certify_votes(votes, labels, self._reading)
        right = pc.equal(certificates["guessed_class"], certificates["label"])
        right = pc.and_(right, pc.invert(certificates["abstained"]))
        self._num_new += len(keys)
        self._num_certified += pc.sum(right).as_py()

    @property
    def certified_percent(self) -> float:
        """Certified accuracy at radius 0 of the images begun and done now, percent."""
        return 100 * self._num_certified / max(1, self._num_new)

    @property
    def votes_per_second(self) -> float:
        """Of this start."""
        seconds = max(1e-9, time.monotonic() - self._begun)
        return (self.num_votes - self._votes_before) / seconds
