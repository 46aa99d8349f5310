"""What flows between ops: batches of named columns, and the worker that opens them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch

from ops.weights import Weights, WeightsRef

Columns = tuple[str, ...]

Batch = Mapping[str, Any]
"""A column per name, an entry per row; read-only. A row is one block of votes.

image          float32 ``row channel height width`` in [0, 1]
image_key      str, the official name of the image
stream         str, one of ``select``, ``estimate``, ``predict``, ``clean``
block          int, index of the block in its stream
noisy          float32 ``row copy channel height width``
purified       float32 ``row copy channel height width``
vote           int64 ``row copy``; the class of each copy, -1 where there is none
counts         int64 ``row class``
invalid        int64 ``row``; copies that voted for no class
"""


@dataclass(frozen=True)
class Worker:
    """Where an op is opened: what it computes on and how it gets its weights."""

    device: torch.device
    """Device that holds the networks and the copies."""

    precision: torch.dtype = torch.float32
    """Type the networks compute in; images and noise stay float32."""

    batch: int = 100
    """Copies per network call; the last call is padded to it."""

    compiled: bool = False
    """Whether networks go through torch.compile."""

    load: Callable[[WeightsRef], Weights] | None = None
    """Reads the tensors a reference names; ``None`` where nothing is to be loaded."""

    def weights(self, reference: WeightsRef) -> Weights:
        """Return the tensors that the reference names."""
        if self.load is None:
            raise ValueError(
                f"Worker needs a loader to read {reference}; load has None. "
                f"Open the op with Worker(load=...)."
            )
        return self.load(reference)


class Op(Protocol):
    """A frozen description of one step, which opens into a function of a batch."""

    reads: ClassVar[Columns]
    writes: ClassVar[Columns]

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Load what is heavy, once per worker, and return the function.

        The function returns the columns in ``writes`` and no others, row for row with
        its input; the runner joins them to the batch.
        """
        ...


def in_batches(
    function: Callable[[torch.Tensor], torch.Tensor],
    copies: torch.Tensor,
    batch: int,
) -> torch.Tensor:
    """Apply a network to copies, always in calls of the same shape.

    The last call is padded with zeros and its padding cut off again, so that a network
    meets one shape only and compiled or tuned kernels never change.

    Args:
        function: maps ``batch ...`` to ``batch ...``.
        copies: any number of entries along the first axis.
        batch: entries per call, at least 1.

    Returns:
        The function's results for all copies, in order.
    """
    results = []
    for part in copies.split(batch):
        missing = batch - len(part)
        padded = torch.cat([part, part.new_zeros(missing, *part.shape[1:])])
        results.append(function(padded if missing else part)[: len(part)])
    return torch.cat(results)
