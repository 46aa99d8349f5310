"""Traces in OUT: a ledger for each classifier, local noise and number of draws."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store
from ops.vote.streams import num_copies
from pipelines.ledger import VOTES, commit, num_votes
from pipelines.target import Committed, failed_row

TRACES = VOTES.append(pa.field("trace", pa.list_(pa.int32()))).append(
    pa.field("calls", pa.float64())
)
"""A vote file in which ``trace`` holds the vote of each copy, -1 for no class: of all
copies under one local noise, then of all under two, and so on; what is counted are the
votes under all of them. ``calls`` are a block's calls of the classifier, with its
share of what pads the last batch."""

LEDGER = "ledger"
"""Column of rows on their way: folder of the ledger each belongs to."""

ON_THEIR_WAY = TRACES.append(pa.field(LEDGER, pa.string()))
"""Traces between the stage that makes them and their ledgers."""

Range = tuple[int, int]
"""First block, and the one after the last."""


@dataclass(frozen=True)
class Family:
    """Votes under the first of some local noises, up to ``num``, of some blocks."""

    folder: str
    """Of its ledger inside OUT."""

    local: Mapping[str, Any]
    """The local noises, as a recipe has them."""

    classifier: Mapping[str, Any]
    """That votes, as a recipe has it, with weights resolved."""

    blocks: Mapping[str, Range]
    """By stream."""

    facts: Mapping[str, str]
    """Of every file, from :func:`pipelines.ledger.vote_metadata`."""

    @property
    def num(self) -> int:
        """Local noises, at most (m)."""
        return self.local["num"]

    def wants(self, stream: str, block: int) -> bool:
        """Return whether a block is one of its own."""
        first, end = self.blocks.get(stream, (0, 0))
        return first <= block < end


@dataclass(frozen=True)
class TraceTarget:
    """The traces of one sigma: each block in the ledgers of several families."""

    families: tuple[Family, ...]

    def commit(self, store: Store, rows: pa.Table, block: int) -> Committed:
        """Write rows as one file per family, each once.

        Args:
            store: of OUT.
            rows: of :data:`TRACES`, with :data:`LEDGER`; at least one.
            block: copies in a block.
        """
        names = []
        for family in self.families:
            own = rows.filter(pc.equal(rows[LEDGER], family.folder))
            if len(own):
                place = {"inside": family.folder, "schema": TRACES}
                names.append(commit(store, own, family.facts, **place))
        each_once = rows.group_by(["image_key", "stream", "block"]).aggregate([])
        return Committed(names[0], len(each_once), num_votes(each_once, block))

    def failed(self, rows: Sequence[Mapping[str, Any]], block: int) -> pa.Table:
        """Return rows of blocks whose copies all vote for no class, in each family.

        Args:
            rows: the carried columns of each, and ``failure``, the reason.
            block: copies in a block.
        """
        failed = [
            {
                **failed_row(row, block),
                "trace": [-1] * family.num * num_copies(row["stream"], block),
                "calls": 0.0,
                LEDGER: family.folder,
            }
            for row in rows
            for family in self.families
            if family.wants(row["stream"], row["block"])
        ]
        return pa.Table.from_pylist(failed, ON_THEIR_WAY)
