"""Blocks that were found more than once, and whether their votes differ."""

import numpy as np
import pyarrow as pa

_KEY = ("image_key", "stream", "block")


def found_again(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows hold a block that a row before them holds.

    Args:
        rows: of the ledger, in the order they count.

    Returns:
        Numbers of such rows, and for each the number of the first row of its block.
    """
    if not len(rows):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    codes = [_codes(rows[name]) for name in _KEY]
    order = np.lexsort(codes)  # stable, so rows of one block keep their order
    begins = np.ones(len(rows), bool)
    begins[1:] = np.any([np.diff(code[order]) != 0 for code in codes], axis=0)
    firsts = order[begins][np.cumsum(begins) - 1]
    return order[~begins], firsts[~begins]


def differ(rows: pa.Table, some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each pair of rows whether their votes differ.

    Args:
        rows: of the ledger.
        some: numbers of rows.
        others: number of the row that each is compared with.

    Returns:
        bool ``pair``.
    """
    votes = rows.select(["counts", "invalid"])
    pairs = zip(_listed(votes, some), _listed(votes, others), strict=True)
    return np.array([one != other for one, other in pairs], bool)


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    if not pa.types.is_string(column.type):
        return column.to_numpy()
    return column.combine_chunks().dictionary_encode().indices.to_numpy()


def _listed(votes: pa.Table, numbers: np.ndarray) -> list[dict]:
    return votes.take(pa.array(numbers, pa.int64())).to_pylist()
