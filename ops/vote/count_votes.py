"""The fourth op: votes to counts per class."""

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Int64
from pydantic import BaseModel, ConfigDict, PositiveInt

from ops.columns import Batch, Columns, Worker


class CountVotes(BaseModel):
    """Count the votes of each block by class, and those for no class apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reads: ClassVar[Columns] = ("vote",)
    writes: ClassVar[Columns] = ("counts", "invalid")

    num_classes: PositiveInt
    """Classes the classifier tells apart."""

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Return the function; there is nothing to load."""

        def count(batch: Batch) -> Batch:
            counts = count_votes(batch["vote"], num_classes=self.num_classes)
            return {"counts": counts[:, 1:], "invalid": counts[:, 0]}

        return count


def count_votes(
    vote: Int64[torch.Tensor, "row copy"], *, num_classes: int
) -> Int64[torch.Tensor, "row class_or_none"]:
    """Count votes by class; column 0 holds the votes for no class.

    Args:
        vote: classes in ``[0, num_classes)``, or -1 for none.
        num_classes: classes there are.

    Returns:
        Counts; every row adds up to its number of copies.
    """
    counts = vote.new_zeros(len(vote), num_classes + 1)
    return counts.scatter_add_(1, vote + 1, torch.ones_like(vote))
