"""What a worker trains on in one step: images, labels, and noise of their own."""

import math
from dataclasses import dataclass

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
    """True classes."""

    seed: int
    """Seed of the training run."""

    step: int
    """Index of the step, from 0."""

    first: int = 0
    """Place of the share's first image in the whole step's batch."""

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
