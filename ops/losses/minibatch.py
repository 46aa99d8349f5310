"""What a worker trains on in one step: images, labels, and noise of their own."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float32, Int64

from ops.noise import Distribution, draw, noise_key


@dataclass(frozen=True)
class Minibatch:
    """One worker's share of the images of one training step.

    Its noise belongs to (seed, step, place in the whole step's batch), so a step that
    runs again, or is shared out over other workers, meets the same noise.
    """

    image: Float32[torch.Tensor, "image channel height width"]
    """Pixels in [0, 1]."""

    label: Int64[torch.Tensor, " image"]
    """Classes: true ones, or those a teacher gave images of unknown class."""

    seed: int
    """Seed of the training run."""

    step: int
    """Index of the step, from 0."""

    first: int = 0
    """Place of the share's first image in the whole step's batch."""

    weight: Float32[torch.Tensor, " image"] | None = None
    """How much each image counts, at least 0; ``None`` for 1 each."""

    def mean(self, loss: Float32[torch.Tensor, " image"]) -> Float32[torch.Tensor, ""]:
        """Return the mean of one number per image, each times the image's weight.

        It divides by the number of images, not by their weights, so that shares of a
        batch add up to the batch.
        """
        return (loss if self.weight is None else self.weight * loss).mean()

    def noises(
        self, num: int, sigma: float
    ) -> list[Float32[torch.Tensor, "image channel height width"]]:
        """Return several independent noises for every image.

        The first is what ``gaussian("noise")`` scales to, so that an objective of one
        noise meets that of Gaussian training.

        Args:
            num: noises per image, at least 1.
            sigma: their std, in [0, 1] pixels.
        """
        streams = ["noise", *(f"noise_{index}" for index in range(1, num))]
        return [sigma * self.gaussian(stream) for stream in streams]

    def parts(self, num: int) -> Iterator["Minibatch"]:
        """Yield the share in parts of equal size, noise and all.

        Args:
            num: divides the number of images.
        """
        size = len(self.image) // num
        for start in range(0, size * num, size):
            own = slice(start, start + size)
            yield replace(
                self,
                image=self.image[own],
                label=self.label[own],
                first=self.first + start,
                weight=None if self.weight is None else self.weight[own],
            )

    def gaussian(
        self, stream: str
    ) -> Float32[torch.Tensor, "image channel height width"]:
        """Return standard normal noise for the images.

        Args:
            stream: what the noise is for; two streams share none.

        Returns:
            Noise of the images' shape, mean 0 and std 1.
        """
        return self._draw("gaussian", stream, tuple(self.image.shape[1:]))

    def standard_normal(self, stream: str) -> Float32[torch.Tensor, " image"]:
        """Return one standard normal number for each image.

        Args:
            stream: what the number is for; two streams share none.
        """
        return self._draw("gaussian", stream, ())

    def uniform(self, stream: str) -> Float32[torch.Tensor, " image"]:
        """Return one uniform number for each image.

        Args:
            stream: what the number is for; two streams share none.

        Returns:
            Numbers in [0, 1].
        """
        centred = self._draw("uniform", stream, ()) / math.sqrt(12.0)
        return (centred + 0.5).clamp(0.0, 1.0)

    def _draw(
        self, distribution: Distribution, stream: str, shape: tuple[int, ...]
    ) -> torch.Tensor:
        key = noise_key(self.seed, 0.0, "minibatch", f"train_{stream}", self.step)
        num, device = len(self.image), self.image.device
        return draw(distribution, key, self.first, num, shape, device)
