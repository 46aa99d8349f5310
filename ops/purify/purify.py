"""The second op: noisy copies to clean ones."""

from collections.abc import Callable
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, PositiveFloat

from ops.columns import Batch, Columns, Worker, in_batches
from ops.purify.purifier import Purifier


class Purify(BaseModel):
    """Send every noisy copy through the purifier."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reads: ClassVar[Columns] = ("noisy",)
    writes: ClassVar[Columns] = ("purified",)

    purifier: Purifier
    """Which way of purifying."""

    sigma: PositiveFloat
    """Std of the certified noise, in [0, 1] pixels."""

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Load the purifier and return the function."""
        denoise = self.purifier.open(worker, self.sigma)

        def purify(batch: Batch) -> Batch:
            noisy = batch["noisy"]
            copies = in_batches(denoise, noisy.flatten(0, 1), worker.batch)
            return {"purified": copies.unflatten(0, noisy.shape[:2])}

        return purify
