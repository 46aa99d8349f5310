"""Which images a step of a training takes, whoever computes it."""

import math
from functools import lru_cache

import numpy as np

from ops.noise import noise_key, random_words


def positions_of(seed: int, num_images: int, *, first: int, num: int) -> np.ndarray:
    """Return the images at some places in the endless row of all passes.

    Every image comes once in each pass, in an order of the pass's own; a batch may
    span two passes.

    Args:
        seed: of the training.
        num_images: in a pass, at least 1.
        first: place of the first image, from 0; a step's is ``step * batch``.
        num: images wanted.

    Returns:
        int64 indices of images, from 0.
    """
    number, place = np.divmod(np.arange(first, first + num), num_images)
    chosen = np.empty(num, dtype=np.int64)
    for one in np.unique(number):
        order = _order(seed, int(one), num_images)
        chosen[number == one] = order[place[number == one]]
    return chosen


@lru_cache(maxsize=2)
def _order(seed: int, number: int, num_images: int) -> np.ndarray:
    key = noise_key(seed, 0.0, "order", "train", number)
    words = random_words(key, 0, 4 * math.ceil(num_images / 4))
    return words.numpy()[:num_images].argsort(kind="stable")
