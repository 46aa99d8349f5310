"""Where a pipeline's votes go: into the ledger, one file per write; needs no torch."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from ray.data import Datasink
from ray.data.block import Block, BlockAccessor

from infra.object_store import open_store
from pipelines.attempts import Attempts
from pipelines.target import Target


class VoteSink(Datasink[None]):
    """Commits the rows of every write as one file of the ledger.

    A task that Ray repeats commits the same names again, which changes nothing.
    """

    def __init__(
        self,
        out: str,
        target: Target,
        attempts: Attempts,
        *,
        block: int,
        min_rows: int,
    ) -> None:
        """Describe where votes go.

        Args:
            out: OUT.
            target: commits them.
            attempts: is told what is committed.
            block: copies in a block.
            min_rows: that are written together, so that a file holds a unit's votes.
        """
        self._out, self._target, self._attempts = out, target, attempts
        self._block, self._min_rows = block, min_rows

    @property
    def min_rows_per_write(self) -> int:
        """Rows that are written together."""
        return self._min_rows

    def write(self, blocks: Iterable[Block], ctx: Any) -> None:
        """Commit the blocks of one task."""
        payloads = [
            payload
            for block in blocks
            for payload in BlockAccessor.for_block(block).to_arrow()["votes"]
        ]
        tables = [unpacked(payload.as_py()) for payload in payloads]
        votes = pa.concat_tables(tables) if tables else []
        if len(votes):
            done = self._target.commit(open_store(self._out), votes, self._block)
            self._attempts.committed(done.name, blocks=done.blocks, votes=done.votes)


def packed(votes: pa.Table) -> bytes:
    """Return votes as one value, which Ray Data does not tear apart."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, votes.schema) as stream:
        stream.write_table(votes)
    return sink.getvalue().to_pybytes()


def unpacked(payload: bytes) -> pa.Table:
    """Return votes from :func:`packed`."""
    with pa.ipc.open_stream(payload) as stream:
        return stream.read_all()
