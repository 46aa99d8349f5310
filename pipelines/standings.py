"""How far images have come under the sequential rule, from whatever votes are there.

Votes may come in any order, and again; an image is looked at only when all blocks up to
a look are there, and only at these. So what is found follows from the votes alone.
"""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ops.certify.looks import Standing, Table, look, nothing_read, rows_of, with_rows

STREAM = "estimate"
"""Stream whose blocks are read."""

_ROWS_AT_ONCE = 500


class Standings:
    """Counts of some images up to their last look, and blocks that wait for a next."""

    def __init__(
        self, labels: Mapping[str, int], table: Table, *, block: int, num_classes: int
    ) -> None:
        """Start with no votes.

        Args:
            labels: true class by image key; rows follow their order.
            table: of the images' sigma.
            block: copies in a block.
            num_classes: classes there are.
        """
        self._rows = pa.array(list(labels), pa.string())
        self._labels = np.array(list(labels.values()), np.int64)
        self._num_classes, self._table = num_classes, table
        self._looks = table.looks // block
        self._there = np.zeros((len(labels), int(self._looks[-1])), bool)
        self._waiting = np.empty((4, 0), np.int64)  # image, block, class, count
        self._places = np.empty(0, np.int64)  # image * classes + class, ascending
        self._counts = np.empty(0, np.int64)
        self.standing: Standing = nothing_read(len(labels))
        """Where each image stands."""
        self.num_looks = np.zeros(len(labels), np.int64)
        """Looks taken at each image."""

    @property
    def prefix(self) -> np.ndarray:
        """int64 ``image``; blocks that are there without a gap, from the first on."""
        gap = self._there.argmin(axis=1)
        return np.where(self._there.all(axis=1), self._there.shape[1], gap)

    @property
    def most_looks(self) -> int:
        """Looks at one image at most."""
        return len(self._looks)

    def looks_ahead(self, rows: np.ndarray, ahead: int) -> np.ndarray:
        """Return how many blocks a later look reads; the last one's if none is left.

        Args:
            rows: of the images wanted.
            ahead: 1 for the next look.
        """
        number = self.num_looks[rows] + ahead - 1
        return self._looks[np.minimum(number, len(self._looks) - 1)]

    @property
    def blocks_read(self) -> np.ndarray:
        """int64 ``image``; blocks that were looked at."""
        return np.where(self.num_looks > 0, self._looks[self.num_looks - 1], 0)

    @property
    def there(self) -> np.ndarray:
        """Bool ``image block``; which blocks are there."""
        return self._there

    def take(self, votes: pa.Table) -> None:
        """Keep the blocks that are new; of a block twice, the first.

        Args:
            votes: rows of the ledger, each block once; those of other images, other
                streams, or past the last look are passed over.
        """
        width = self._there.shape[1]
        inside = pc.is_in(votes["block"], pa.array(range(width)))
        wanted = pc.and_(pc.equal(votes["stream"], STREAM), inside)
        votes = votes.filter(wanted)
        index = pc.index_in(votes["image_key"], self._rows)
        votes, index = votes.filter(index.is_valid()), index.drop_null()
        images, blocks = index.to_numpy().astype(np.int64), votes["block"].to_numpy()
        fresh = ~self._there[images, blocks]
        self._there[images, blocks] = True
        votes = votes.filter(pa.array(fresh)).combine_chunks()
        entries = _entries(votes, images[fresh])
        self._waiting = np.concatenate([self._waiting, entries], axis=1)

    def advance(self, limit: np.ndarray | None = None) -> None:
        """Take every look for which the votes are there.

        Args:
            limit: int64 ``image``; blocks that may be read; ``None``: all.
        """
        reach = self.prefix if limit is None else np.minimum(self.prefix, limit)
        rows = np.arange(len(reach))
        while True:
            following = self.looks_ahead(rows, 1)
            ready = ~self.standing.stopped & (following <= reach)
            if not ready.any():
                return
            self._absorb(np.where(ready, following, 0))
            for number in np.unique(self.num_looks[ready]).tolist():
                self._look(np.flatnonzero(ready & (self.num_looks == number)), number)
            self.num_looks[ready] += 1

    def begin(self, table: Table) -> None:
        """Go by a table with fewer radii, before the first look.

        Args:
            table: with the smallest radii of the one there was.
        """
        self._table = table

    def reopen(self, table: Table) -> None:
        """Go on with more radii, for the images that got all they had.

        They are looked at again where they stopped, so that they end as if all radii
        had been there from the start.

        Args:
            table: with the radii of the one before, and more.
        """
        had, self._table = len(self._table.radii), table
        done = self.standing.num_radii == had
        stopped = self.standing.stopped & ~done
        self.standing = replace(self.standing, stopped=stopped)
        for number in np.unique(self.num_looks[done]).tolist():
            rows = np.flatnonzero(done & (self.num_looks == number))
            self._look(rows, number - 1)

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """Return the votes that were looked at, int64 ``row class``.

        Args:
            rows: of the images wanted.
        """
        dense = np.zeros((len(rows), self._num_classes), np.int64)
        starts = np.searchsorted(self._places, rows * self._num_classes)
        ends = np.searchsorted(self._places, (rows + 1) * self._num_classes)
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            classes = self._places[start:end] - rows[row] * self._num_classes
            dense[row, classes] = self._counts[start:end]
        return dense

    def _absorb(self, until: np.ndarray) -> None:
        """Add waiting blocks to the counts, of each image those before a block."""
        image, block, chosen, count = self._waiting
        read = block < until[image]
        self._waiting = self._waiting[:, ~read]
        places = np.concatenate(
            [self._places, (image * self._num_classes + chosen)[read]]
        )
        self._places, where = np.unique(places, return_inverse=True)
        counts = np.concatenate([self._counts, count[read]])
        self._counts = np.bincount(where, counts, len(self._places)).astype(np.int64)

    def _look(self, rows: np.ndarray, number: int) -> None:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            label = self._labels[part] if self._table.on_label else None
            found = look(
                rows_of(self.standing, part),
                self.counts(part),
                self._table,
                number,
                label=label,
            )
            self.standing = with_rows(self.standing, part, found)


def _entries(votes: pa.Table, images: np.ndarray) -> np.ndarray:
    """Return image, block, class and count of each entry of the sparse counts."""
    counts = votes["counts"].combine_chunks()
    owner = pc.list_parent_indices(counts).to_numpy()
    entries = pc.list_flatten(counts)
    classes, counted = (
        pc.struct_field(entries, name).to_numpy().astype(np.int64)
        for name in ("class", "count")
    )
    blocks = votes["block"].to_numpy().astype(np.int64)
    return np.stack([images[owner], blocks[owner], classes, counted])
