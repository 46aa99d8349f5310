"""Which images a step of a training takes, whoever computes it."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from ops.noise import noise_key, random_words

_FINEST_SHARE = 1000
"""Shares are counted in fractions of at most this denominator."""


@dataclass(frozen=True)
class Order:
    """Images in the endless row of all passes; a step is a stretch of it.

    Every image comes once in each pass, in an order of the pass's own; a step may span
    two passes. With a share for the extra images, their places lie evenly between
    those of the others, and each of the two sets goes through passes of its own.
    """

    seed: int
    """Of the training."""

    sizes: tuple[int, int]
    """Images of the data set's own, and extra ones, which are numbered after them."""

    extra_share: float | None
    """Share of places that are extra images', in (0, 1); ``None``: one common set."""

    def positions(self, place: np.ndarray) -> np.ndarray:
        """Return the images at some places.

        Args:
            place: int64 places in the row, from 0, rising; the first of a step's is
                ``step * batch``.

        Returns:
            int64 indices of images, from 0.
        """
        num_own, num_extra = self.sizes
        if self.extra_share is None:
            return self._in_passes("order", place, num_own + num_extra)
        share = Fraction(self.extra_share).limit_denominator(_FINEST_SHARE)
        before = place * share.numerator // share.denominator
        is_extra = (place + 1) * share.numerator // share.denominator > before
        own = self._in_passes("order", (place - before)[~is_extra], num_own)
        extra = self._in_passes("order_extra", before[is_extra], num_extra)
        chosen = np.empty_like(place)
        chosen[~is_extra], chosen[is_extra] = own, num_own + extra
        return chosen

    def _in_passes(self, stream: str, place: np.ndarray, num_images: int) -> np.ndarray:
        number, place_in_pass = np.divmod(place, num_images)
        chosen = np.empty_like(place)
        for one in np.unique(number):
            order = _order(self.seed, stream, int(one), num_images)
            chosen[number == one] = order[place_in_pass[number == one]]
        return chosen


@lru_cache(maxsize=4)
def _order(seed: int, stream: str, number: int, num_images: int) -> np.ndarray:
    key = noise_key(seed, 0.0, stream, "train", number)
    words = random_words(key, 0, 4 * math.ceil(num_images / 4))
    return words.numpy()[:num_images].argsort(kind="stable")
