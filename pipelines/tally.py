"""Votes and certificates while they come in: what was there, and what is new."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import time
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store
from pipelines.certificates import blocks_of, certify_votes
from pipelines.ledger import VOTES, num_votes
from pipelines.ledger_index import LedgerIndex
from pipelines.recipe import Run
from pipelines.vote_rows import read_votes


class Tally:
    """Votes and certificates so far: what was there, and the files that are new."""

    def __init__(
        self, store: Store, run: Run, labels: Mapping[str, int], index: LedgerIndex
    ) -> None:
        self._store, self._run, self._labels = store, run, labels
        self._blocks = blocks_of(run)
        self._open = VOTES.empty_table()
        self._begun = time.monotonic()
        self.num_votes = index.num_votes(run.sampling.block)
        self._votes_before = self.num_votes
        self.num_images = self._whole(index)
        self._num_new = 0
        self._num_certified = 0

    def _whole(self, index: LedgerIndex) -> int:
        keys = list(self._labels)
        there = [
            index.present(keys, s, num).all(axis=1) for s, num in self._blocks.items()
        ]
        return int(np.logical_and.reduce(there).sum())

    def take(self, names: Sequence[str]) -> None:
        """Read vote files that are new.

        Args:
            names: of the files.
        """
        votes = read_votes(self._store, names).rows.select(VOTES.names)
        self.num_votes += num_votes(votes, self._run.sampling.block)
        votes = votes.filter(pc.is_in(votes["stream"], pa.array(list(self._blocks))))
        votes = pa.concat_tables([self._open, votes])
        counted = votes.group_by("image_key").aggregate([("block", "count")])
        per_image = sum(self._blocks.values())
        whole = pc.greater_equal(counted["block_count"], per_image)
        keys = counted.filter(whole)["image_key"]
        finished = pc.is_in(votes["image_key"], keys.combine_chunks())
        self._open = votes.filter(pc.invert(finished))
        self._certify(votes.filter(finished), keys.to_pylist())

    def _certify(self, votes: pa.Table, keys: list[str]) -> None:
        labels = {key: self._labels[key] for key in keys if key in self._labels}
        if not labels:
            return
        certificates = certify_votes(votes, labels, self._run)
        right = pc.equal(certificates["guessed_class"], certificates["label"])
        right = pc.and_(right, pc.invert(certificates["abstained"]))
        self.num_images += len(labels)
        self._num_new += len(labels)
        self._num_certified += pc.sum(right).as_py()

    @property
    def certified_percent(self) -> float:
        """Certified accuracy at radius 0 of the images done now, in percent."""
        return 100 * self._num_certified / max(1, self._num_new)

    @property
    def votes_per_second(self) -> float:
        """Of this start."""
        seconds = max(1e-9, time.monotonic() - self._begun)
        return (self.num_votes - self._votes_before) / seconds
