"""The purifier that changes nothing: plain Gaussian smoothing."""

from collections.abc import Callable
from typing import Literal

from ops.columns import Worker
from ops.purify.purifying import Images, Purifying


class Nothing(Purifying, frozen=True, extra="forbid"):
    """Leave noisy copies as they are.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918.
    """

    kind: Literal["nothing"] = "nothing"

    def calls_at(self, sigma: float) -> int:
        """Return that there is no network to call."""
        del sigma
        return 0

    def open(self, worker: Worker, sigma: float) -> Callable[[Images], Images]:
        """Return the identity; there is nothing to load.

        Args:
            worker: not used.
            sigma: not used.

        Returns:
            A function that returns its argument.
        """
        del worker, sigma
        return _identity


def _identity(noisy: Images) -> Images:
    return noisy
