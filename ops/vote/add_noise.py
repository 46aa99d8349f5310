"""The first op: noisy copies of an image."""

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, PositiveInt

from ops.columns import Batch, Columns, Worker
from ops.lattice import STEPS, lattice, on_lattice
from ops.noise import NoiseKind, gaussian, noise_key
from ops.vote.streams import CLEAN


class AddNoise(BaseModel):
    """Make the noisy copies of each block: the image plus Gaussian noise of std sigma.

    The noise has exactly the certified std and is added to the image in [0, 1] pixels,
    before any scaling, clipping or cast; whatever follows is part of the classifier.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reads: ClassVar[Columns] = ("image", "image_key", "stream", "block")
    writes: ClassVar[Columns] = ("noisy",)

    sigma: PositiveFloat
    """Std of the certified noise, in [0, 1] pixels."""

    seed: NonNegativeInt
    """Seed of the run."""

    block: PositiveInt = 100
    """Copies per block."""

    noise: NoiseKind = "gaussian"
    """In floating point, or rounded to whole steps of 1/255 for 8-bit images."""

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Return the function; there is nothing to load."""

        def add_noise(batch: Batch) -> Batch:
            images = torch.as_tensor(batch["image"]).to(worker.device, torch.float32)
            identities = zip(
                batch["image_key"], batch["stream"], batch["block"], strict=True
            )
            noisy = [
                self._copies(image, str(key), str(stream), int(block))
                for image, (key, stream, block) in zip(images, identities, strict=True)
            ]
            return {"noisy": torch.stack(noisy)}

        return add_noise

    def _copies(
        self,
        image: Float32[torch.Tensor, "channel height width"],
        image_key: str,
        stream: str,
        block: int,
    ) -> Float32[torch.Tensor, "copy channel height width"]:
        if stream == CLEAN:
            return image[None]
        key = noise_key(self.seed, self.sigma, image_key, stream, block)
        shape = tuple(image.shape)
        if self.noise == "lattice":
            steps = lattice(key, self.block, shape, self.sigma, image.device)
            return (steps + on_lattice(image, image_key)).to(torch.float32) / STEPS
        noise = gaussian(key, 0, self.block, shape, image.device)
        return noise.mul_(self.sigma).add_(image)
