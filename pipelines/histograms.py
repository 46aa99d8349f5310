"""Votes added up: counts per image and class of the first blocks of one stream."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Histogram:
    """The votes of some images for one stream."""

    votes: np.ndarray
    """int64 ``image class``."""

    invalid: np.ndarray
    """int64 ``image``; copies that voted for no class."""

    num_blocks: np.ndarray
    """int64 ``image``; different blocks of the wanted prefix that are there."""

    tiled: np.ndarray
    """bool ``image``; whether the prefix's blocks are all there, each exactly once."""


def histogram(
    votes: pa.Table,
    keys: Sequence[str],
    *,
    stream: str,
    num_blocks: int,
    num_classes: int,
) -> Histogram:
    """Add up the votes of a prefix of one stream's blocks, image by image.

    Args:
        votes: ledger rows, each block once.
        keys: images wanted, in order; rows of others are passed over.
        stream: whose blocks.
        num_blocks: the prefix ``[0, num_blocks)`` counts, later blocks do not.
        num_classes: classes there are.
    """
    votes = votes.filter(in_prefix(votes, {stream: num_blocks}))
    wanted = pc.is_in(votes["image_key"], pa.array(keys, pa.string()))
    rows = votes.filter(wanted).combine_chunks()
    image = pc.index_in(rows["image_key"], pa.array(keys, pa.string())).to_numpy()
    owner = image[pc.list_parent_indices(rows["counts"]).to_numpy()]
    counted = pc.list_flatten(rows["counts"])
    dense = np.zeros((len(keys), num_classes), np.int64)
    classes = pc.struct_field(counted, "class").to_numpy()
    np.add.at(dense, (owner, classes), pc.struct_field(counted, "count").to_numpy())
    invalid = np.zeros(len(keys), np.int64)
    np.add.at(invalid, image, rows["invalid"].to_numpy())
    found = np.zeros((len(keys), num_blocks), np.int64)
    np.add.at(found, (image, rows["block"].to_numpy()), 1)
    return Histogram(dense, invalid, (found > 0).sum(axis=1), (found == 1).all(axis=1))


def in_prefix(votes: pa.Table, blocks: Mapping[str, int]) -> pa.ChunkedArray:
    """Return which rows are of the first blocks of some streams.

    Args:
        votes: ledger rows.
        blocks: number of blocks by stream.
    """
    return reduce(
        pc.or_,
        (
            pc.and_(
                pc.equal(votes["stream"], stream),
                pc.and_(
                    pc.greater_equal(votes["block"], 0), pc.less(votes["block"], num)
                ),
            )
            for stream, num in blocks.items()
        ),
    )
