"""A sample of the blocks of an OUT that nobody can choose beforehand."""

import hashlib
import heapq
from collections.abc import Iterator
from typing import Any

from pipelines.image_groups import image_groups
from pipelines.ledger import VOTES
from pipelines.recount import Recount
from pipelines.vote_rows import read_votes

Row = dict[str, Any]
"""A block as the ledger has it."""


def sampled_blocks(recount: Recount, seed: str, num: int) -> list[Row]:
    """Return blocks drawn without replacement, each as likely as any other.

    Args:
        recount: of OUT; blocks of all its runs are drawn from, but not those that
            failed.
        seed: what the choice hangs on.
        num: blocks wanted; all if there are not so many.

    Returns:
        Rows of the ledger, by sigma, image, stream and block.
    """
    chosen = heapq.nsmallest(
        num,
        ((_place(seed, row), number, row) for number, row in enumerate(_rows(recount))),
    )
    return sorted((row for _, _, row in chosen), key=_key)


def _rows(recount: Recount) -> Iterator[Row]:
    """Yield all blocks that count, a group of images after the other."""
    for one in recount.found:
        labels = dict.fromkeys(one.index.codes, 0)
        for group in image_groups(one.index, labels):
            rows = read_votes(recount.store, group.files, group.keys).rows
            rows = rows.filter(rows["failure"].is_null()).select(VOTES.names)
            for batch in rows.to_batches(max_chunksize=1 << 12):
                yield from batch.to_pylist()


def _place(seed: str, row: Row) -> bytes:
    """Return where a block stands in an order that only the seed decides."""
    label = "|".join(map(str, (seed, *_key(row)))).encode()
    return hashlib.blake2b(label, digest_size=16).digest()


def _key(row: Row) -> tuple[float, str, str, int]:
    return row["sigma"], row["image_key"], row["stream"], row["block"]
