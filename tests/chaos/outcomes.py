"""What a fault did to a run, read from OUT and from the journal."""

import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.object_store import Store


@dataclass(frozen=True)
class Outcome:
    """What became of a run that met a fault."""

    fault: str
    injected: str
    """What was done, when and how often."""

    plan: str
    votes_lost: int
    """Blocks asked for and not in the ledger in the end."""

    counted_twice: int
    """Blocks that count more than once in the certificates' histograms."""

    blocks_repeated: int
    """Blocks begun again after they had been begun once."""

    seconds_to_continue: float | None
    """From the fault, or from the restart of a driver, to the first new vote file;
    ``None`` if there was none."""

    same_bytes: bool
    """Whether the certificates are those of an undisturbed run."""

    status: int
    """Exit status of the last driver."""

    left: tuple[str, ...] = ()
    """Processes and temporary files that should be gone."""

    @property
    def as_promised(self) -> bool:
        """Whether nothing was lost, counted twice, changed or left behind."""
        whole = self.votes_lost == 0 and self.counted_twice == 0
        return whole and self.same_bytes and not self.left


def blocks(store: Store) -> set[tuple[str, str, int]]:
    """Return the blocks of all visible vote files; every file is whole."""
    names = [n for n in store.names("votes/") if n.endswith(".parquet")]
    found: set[tuple[str, str, int]] = set()
    for name in names:
        table = pq.read_table(io.BytesIO(store.read(name)))
        columns = (table[c].to_pylist() for c in ("image_key", "stream", "block"))
        found.update(zip(*columns, strict=True))
    return found


def certificates(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a table of certificates."""
    return pq.read_table(pa.BufferReader(content)).to_pylist()


def counted_twice(content: bytes, *, num_estimate: int, block: int) -> int:
    """Return the blocks that count more than once in certificates.

    Args:
        content: of ``certificates.parquet``.
        num_estimate: draws that were asked for.
        block: draws in a block.
    """
    counted = [
        sum(entry["count"] for entry in row["counts"]) + row["invalid"]
        for row in certificates(content)
    ]
    return sum(max(0, draws - num_estimate) for draws in counted) // block
