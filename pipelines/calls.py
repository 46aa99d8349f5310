"""From decoded units to calls of a device: rows of one shape, as many as fit."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from ops.vote.streams import CLEAN
from pipelines.decode import Decoded
from pipelines.recipe import Run
from pipelines.set_aside import CARRIED, identity_row

_FLOATS_AT_ONCE = 1 << 26


def calls(decoded: Decoded, run: Run) -> Iterator[dict[str, Any]]:
    """Yield the rows of a decoded unit in batches that fit a device.

    Args:
        decoded: as :class:`pipelines.decode.DecodeUnits` returns it.
        run: for sigma and batch shape.

    Yields:
        Columns of blocks whose copies stack: of one image shape, all noisy or all not.
    """
    unit, images, digests = decoded
    pairs = [(job, block) for job in unit.jobs for block in job.blocks]
    pairs.sort(
        key=lambda pair: (pair[0].stream != CLEAN, images[pair[0].entry.key].shape)
    )
    groups = groupby(
        pairs, lambda pair: (pair[0].stream == CLEAN, images[pair[0].entry.key].shape)
    )
    for (_, shape), group in groups:
        rows = list(group)
        at_once = rows_at_once(shape, run.sampling.block, run.batch)
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            records = [
                identity_row(job, block, run.sigma, digests[job.entry.key])
                for job, block in part
            ]
            columns = {name: np.array([r[name] for r in records]) for name in CARRIED}
            pixels = np.stack([images[job.entry.key] for job, _ in part])
            yield {**columns, "image": pixels}


def rows_at_once(shape: Sequence[int], block: int, batch: int) -> int:
    """Return how many blocks one call takes: within memory, with least padding.

    Args:
        shape: of an image.
        block: copies in a block.
        batch: copies in a network call.
    """
    room = max(1, _FLOATS_AT_ONCE // (block * math.prod(shape)))

    def share_of_padding(rows: int) -> float:
        return -rows * block % batch / (rows * block)

    # Full batches repeat with this period, so no more rows than it need be tried.
    period = math.lcm(block, batch) // block
    best = min(range(1, min(room, period) + 1), key=share_of_padding)
    return room // best * best if best == period else best
