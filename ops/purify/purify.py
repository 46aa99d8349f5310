"""The second op: noisy copies to clean ones."""

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat

from ops.columns import Batch, Columns, Worker
from ops.noise import gaussian, noise_key
from ops.purify.purifier import Purifier
from ops.purify.purifying import Draw, Images


class Purify(BaseModel):
    """Send every noisy copy through the purifier."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reads: ClassVar[Columns] = ("noisy", "image_key", "stream", "block")
    writes: ClassVar[Columns] = ("purified",)

    purifier: Purifier
    """Which way of purifying."""

    sigma: PositiveFloat
    """Std of the certified noise, in [0, 1] pixels."""

    seed: NonNegativeInt
    """Seed of the run, on which the noise of purifiers that draw some hangs."""

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Load the purifier and return the function.

        The copies of a row become ``samples_per_copy`` purified ones each, those of
        one copy together.
        """
        denoise = self.purifier.open_with_noise(worker, self.sigma)
        samples = self.purifier.samples_per_copy

        def purify(batch: Batch) -> Batch:
            noisy = batch["noisy"]
            rows, copies = noisy.shape[:2]
            flat, made = noisy.flatten(0, 1), []
            for first in range(0, len(flat), worker.batch):
                part = _padded(flat[first : first + worker.batch], worker.batch)
                num = min(worker.batch, len(flat) - first)
                purified = denoise(part, self._draw(batch, first, num, part))
                made.append(purified[: num * samples])
            together = torch.cat(made)
            return {"purified": together.unflatten(0, (rows, copies * samples))}

        return purify

    def _draw(self, batch: Batch, first: int, num: int, part: Images) -> Draw:
        """Return the noise of ``num`` copies from one on, of all rows in order."""
        copies = batch["noisy"].shape[1]
        shape, device = tuple(part.shape[1:]), part.device

        def draw(stream: str) -> Images:
            drawn = []
            for row in range(first // copies, -(-(first + num) // copies)):
                start = max(first, row * copies)
                stop = min(first + num, (row + 1) * copies)
                drawn.append(
                    gaussian(
                        self._key(batch, row, stream),
                        start - row * copies,
                        stop - start,
                        shape,
                        device,
                    )
                )
            return _padded(torch.cat(drawn), len(part))

        return draw

    def _key(self, batch: Batch, row: int, stream: str) -> int:
        return noise_key(
            self.seed,
            self.sigma,
            str(batch["image_key"][row]),
            f"{batch['stream'][row]}/{stream}",
            int(batch["block"][row]),
        )


def _padded(
    copies: Images, batch: int
) -> Float32[torch.Tensor, "padded channel height width"]:
    """Return copies with zeros after them, so that networks meet one shape only."""
    missing = batch - len(copies)
    if not missing:
        return copies
    return torch.cat([copies, copies.new_zeros(missing, *copies.shape[1:])])
