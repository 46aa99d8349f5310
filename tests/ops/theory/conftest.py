"""Gaussian images and their perfect denoiser, of which everything is known."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from ops.purify.denoiser import Denoiser


@dataclass(frozen=True)
class GaussianData:
    """Images whose pixels are independent normals about one mean, in [-1, 1] units."""

    std: float
    mean: float = 0.2
    shape: tuple[int, ...] = (3, 4, 4)

    @property
    def num_pixels(self) -> int:
        return math.prod(self.shape)

    @property
    def denoiser(self) -> Denoiser:
        """The mean of the clean images behind a noisy one."""

        def call(noisy: Any, level: Any) -> tuple[Any, None]:
            share = self.std**2 / (self.std**2 + level.view(-1, 1, 1, 1) ** 2)
            return self.mean + share * (noisy - self.mean), None

        return Denoiser(call, 1e3, "gaussian")

    def clean(self, num: int, seed: int = 0) -> torch.Tensor:
        normal = np.random.default_rng(seed).standard_normal((num, *self.shape))
        return torch.tensor(self.mean + self.std * normal, dtype=torch.float32)

    def noise(self, num: int, seed: int = 1) -> torch.Tensor:
        normal = np.random.default_rng(seed).standard_normal((num, *self.shape))
        return torch.tensor(normal, dtype=torch.float32)

    def error_variance(self, level: float) -> float:
        """Variance of a clean pixel, given the noisy image."""
        return self.std**2 * level**2 / (self.std**2 + level**2)


@pytest.fixture
def gaussian_data() -> type[GaussianData]:
    return GaussianData
