"""What every purifier is: a description that opens into a function of noisy copies."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float32
from pydantic import BaseModel

from ops.columns import Worker

Images = Float32[torch.Tensor, "copy channel height width"]

Draw = Callable[[str], Images]
"""Name of a stream -> standard normal noise for every copy; two streams share none."""

Purify = Callable[[Images, Draw], Float32[torch.Tensor, "sample channel height width"]]
"""Noisy copies, and noise that belongs to each -> ``samples_per_copy`` clean images of
each copy, those of one copy together."""


class RandomPurifier(BaseModel, ABC, frozen=True, extra="forbid"):
    """A purifier that may draw noise of its own for every copy.

    The noise belongs to the copy, not to a call or a worker, so that votes stay the
    same however copies are batched, and independent of each other.
    """

    kind: str
    """Which way of purifying."""

    def calls_at(self, sigma: float) -> int:
        """Return the calls of the network for each noisy copy.

        Args:
            sigma: std of the certified noise in [0, 1] pixels, above 0.
        """
        del sigma
        return 1

    @property
    def samples_per_copy(self) -> int:
        """Purified images of each noisy copy, whose majority is the copy's vote."""
        return 1

    @abstractmethod
    def open_with_noise(self, worker: Worker, sigma: float) -> Purify:
        """Load what is heavy and return the purifying function.

        Args:
            worker: where to compute, and what reads the weights.
            sigma: std of the certified noise in [0, 1] pixels, above 0.
        """


class Purifying(RandomPurifier, ABC, frozen=True, extra="forbid"):
    """A purifier without noise of its own: a function of the noisy copy alone."""

    @abstractmethod
    def open(self, worker: Worker, sigma: float) -> Callable[[Images], Images]:
        """Load what is heavy and return the purifying function.

        Args:
            worker: where to compute, and what reads the weights.
            sigma: std of the certified noise in [0, 1] pixels, above 0.
        """

    def open_with_noise(self, worker: Worker, sigma: float) -> Purify:
        """Return the same function, beside noise that it does not ask for.

        Args:
            worker: where to compute, and what reads the weights.
            sigma: std of the certified noise in [0, 1] pixels, above 0.
        """
        purify = self.open(worker, sigma)
        return lambda noisy, draw: purify(noisy)
