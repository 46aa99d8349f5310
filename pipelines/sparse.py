"""Counts by class as the few classes that got any."""

import numpy as np


def sparse(counts: np.ndarray) -> list[dict[str, int]]:
    """Return the classes that got votes, with their counts, in order of class.

    Args:
        counts: int64 ``class``.
    """
    classes = np.flatnonzero(counts)
    return [{"class": int(c), "count": int(counts[c])} for c in classes]
