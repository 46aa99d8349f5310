"""A plain convolutional denoiser, trained for one sigma."""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PositiveInt
from torch import nn

from ops.columns import Worker
from ops.networks import fill, place, read_weights, to_network
from ops.purify.purifying import Images, Purifying
from ops.weights import WeightsRef

Depth = Annotated[int, Field(ge=2)]

NORM_GUARD = 1e-4
"""What batch norms add to variances, as in the public files of denoised smoothing."""

ROUNDING = 1e-6
"""Share by which two sigmas may differ that are the same."""


class Dncnn(Purifying, frozen=True, extra="forbid"):
    """Denoise a copy with one call of a network that learned the noise of one sigma.

    Its result is not clipped: the classifier behind it was trained, or chosen, so.

    Source:
        Salman et al. 2020, arXiv:2003.01908; Zhang et al. 2017, arXiv:1608.03981.
    """

    kind: Literal["dncnn"] = "dncnn"

    weights: WeightsRef
    """Weights of the network."""

    depth: Depth = 17
    """Convolutions."""

    width: PositiveInt = 64
    """Channels between them."""

    channels: PositiveInt = 3
    """Channels of an image."""

    def open(self, worker: Worker, sigma: float) -> Callable[[Images], Images]:
        """Load the network and return the purifying function.

        Args:
            worker: where to compute, and what reads the weights.
            sigma: std of the certified noise, in [0, 1] pixels.

        Returns:
            A function from noisy copies to purified ones, float32, about [0, 1].

        Raises:
            ValueError: the weights do not fit, or their file says that they belong to
                another network or another sigma.
        """
        weights = read_weights(self.weights, worker)
        self._require_said_by(weights.config, weights.source)
        require_sigma(weights.config, sigma, weights.source)
        network = place(fill(self.network(), self.weights, weights), worker)

        def purify(noisy: Images) -> Images:
            return network(to_network(noisy, worker)).float()

        return purify

    def network(self) -> nn.Module:
        """Return the network, its weights not set."""
        return ResidualDenoiser(self.depth, self.width, self.channels)

    def _require_said_by(self, config: Mapping[str, Any], source: str) -> None:
        arch = config.get("arch", self.kind)
        if self.kind not in str(arch):  # the public files have cifar_dncnn and others
            raise ValueError(
                f"dncnn needs weights of a DnCNN; {source} says that it is of arch "
                f"{arch!r}. Take weights of a denoiser."
            )
        for name in ("depth", "width", "channels"):
            here = getattr(self, name)
            if config.get(name, here) != here:
                raise ValueError(
                    f"dncnn needs {name} {config[name]}, with which {source} was "
                    f"trained; the purifier has {here}. Set purifier.{name} to "
                    f"{config[name]}."
                )


def require_sigma(config: Mapping[str, Any], sigma: float, source: str) -> None:
    """Refuse weights whose file says that they were trained on other noise.

    Args:
        config: what the file says; nothing is checked where it is silent.
        sigma: std of the certified noise, in [0, 1] pixels.
        source: what to call the file in an error.

    Raises:
        ValueError: the sigmas differ by more than rounding.
    """
    trained = config.get("sigma_train", sigma)
    if not math.isclose(trained, sigma, rel_tol=ROUNDING):
        raise ValueError(
            f"dncnn needs noise of the sigma it was trained on; {source} has "
            f"sigma_train {trained}, the run has sigma {sigma}. Take weights trained "
            f"at {sigma}."
        )


class ResidualDenoiser(nn.Module):
    """Convolutions that find the noise, which is taken off the image.

    Tensors are named as in the public files of denoised smoothing.
    """

    def __init__(self, depth: int, width: int, channels: int) -> None:
        super().__init__()
        self.dncnn = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            *(layer for _ in range(depth - 2) for layer in _inner(width)),
            nn.Conv2d(width, channels, 3, padding=1, bias=False),
        )

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        """Return denoised images, not clipped."""
        return noisy - self.dncnn(noisy)


def _inner(width: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width, eps=NORM_GUARD),
        nn.ReLU(),
    )
