"""The purifier that changes nothing: plain Gaussian smoothing."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float32
from pydantic import BaseModel

from ops.columns import Worker

Images = Float32[torch.Tensor, "copy channel height width"]


class Nothing(BaseModel, frozen=True, extra="forbid"):
    """Leave noisy copies as they are.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918.
    """

    kind: Literal["nothing"] = "nothing"

    @property
    def calls_per_copy(self) -> int:
        """Calls of a network for each noisy copy."""
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
