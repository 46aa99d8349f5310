"""Whether two classifiers differ on the same images, by more than chance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from scipy.special import bdtr


class Paired(NamedTuple):
    """Images that tell two classifiers apart, and what they prove."""

    only_first: int
    """Images that count for the first alone."""

    only_second: int
    """Images that count for the second alone."""

    p_value: float
    """Chance, if both were equally good, of a split at least as uneven."""


def mcnemar(
    first: Bool[np.ndarray, " image"],
    second: Bool[np.ndarray, " _"],
) -> Paired:
    """Test whether two classifiers are right equally often, on the same images.

    Exact two-sided test. Images on which both are right or both are wrong say nothing;
    of the others each falls to either side with a chance of one half. It holds only if
    the images are independent and neither classifier was chosen by its success on them.

    Args:
        first: whether the first is right, per image.
        second: whether the second is right, on the same images in the same order.

    Returns:
        Both counts, and a p-value in ``(0, 1]``; 1 where no image tells them apart.

    Raises:
        ValueError: there are more images of one than of the other.

    Source:
        McNemar 1947, Psychometrika 12(2). Differs: the exact binomial tail, doubled,
        in place of chi squared.
    """
    if len(first) != len(second):
        raise ValueError(
            f"mcnemar needs both classifiers on the same images; the first has "
            f"{len(first)} and the second {len(second)}. Match them by image key."
        )
    only_first = int(np.sum(first & ~second))
    only_second = int(np.sum(second & ~first))
    fewer, both = min(only_first, only_second), only_first + only_second
    return Paired(only_first, only_second, min(1.0, 2 * float(bdtr(fewer, both, 0.5))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for having made several tests, by Holm's method.

    To reject where the adjusted value is at most a level keeps the chance of any wrong
    rejection below that level, however the tests depend on each other.

    Args:
        p_values: one per test, in ``[0, 1]``, in any order.

    Returns:
        As many in the same order, in ``[0, 1]``, none below its own p-value.

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6(2).
    """
    values = np.array(p_values)
    ascending = np.argsort(values, kind="stable")
    scaled = values[ascending] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[ascending] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted.tolist()
