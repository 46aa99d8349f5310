"""Where the votes of a pass go: into the ledger of a sigma; needs no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from infra.object_store import Store
from ops.vote.streams import num_copies
from pipelines.ledger import VOTES, commit, num_votes


class Committed(NamedTuple):
    """What a tracker is told of blocks that are in the ledger."""

    name: str
    """Of the file, or of the first of several."""

    blocks: int
    votes: int


class Target(Protocol):
    """Knows how blocks are committed; picklable."""

    def commit(self, store: Store, rows: pa.Table, block: int) -> Committed:
        """Write rows that a stage made, once."""
        ...

    def failed(self, rows: Sequence[Mapping[str, Any]], block: int) -> pa.Table:
        """Return rows of blocks whose copies all vote for no class."""
        ...


@dataclass(frozen=True)
class VoteTarget:
    """The votes of one sigma."""

    facts: Mapping[str, str]
    """Of every file, from :func:`pipelines.ledger.vote_metadata`."""

    def commit(self, store: Store, rows: pa.Table, block: int) -> Committed:
        """Write rows as one file, once.

        Args:
            store: of OUT.
            rows: of :data:`VOTES`, at least one.
            block: copies in a block.
        """
        name = commit(store, rows, self.facts)
        return Committed(name, len(rows), num_votes(rows, block))

    def failed(self, rows: Sequence[Mapping[str, Any]], block: int) -> pa.Table:
        """Return rows of blocks whose copies all vote for no class.

        Args:
            rows: the carried columns of each, and ``failure``, the reason.
            block: copies in a block.
        """
        return pa.Table.from_pylist([failed_row(row, block) for row in rows], VOTES)


def failed_row(row: Mapping[str, Any], block: int) -> dict[str, Any]:
    """Return a block whose copies all vote for no class, as a row of the ledger.

    Args:
        row: its carried columns, and ``failure``, the reason.
        block: copies in a block.
    """
    return {
        **row,
        "counts": [],
        "invalid": num_copies(row["stream"], block),
        "seconds": 0.0,
        "conditions": "{}",
    }
