"""Normal data, whose perfect denoiser and whose purified copies are known exactly."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from ops.columns import Worker
from ops.noise import gaussian, noise_key
from ops.purify.denoiser import Denoiser
from ops.purify.open_denoiser import DenoisingNetwork
from ops.weights import WeightsRef

MEAN, STD = 0.3, 0.4
"""Of the data, on the [-1, 1] range."""

WORKER = Worker(torch.device("cpu"), batch=100)
Images = torch.Tensor
Network = TypeVar("Network", bound=DenoisingNetwork)


def gaussian_denoiser(
    mean: float = MEAN, std: float = STD, *, highest: float = 80.0
) -> Denoiser:
    """Return the mean of the data behind a noisy image, as a denoiser."""

    def call(noisy: Images, level: Images) -> tuple[Images, None]:
        variance = level.square().view(-1, 1, 1, 1)
        return (std**2 * noisy + variance * mean) / (std**2 + variance), None

    return Denoiser(call, highest, "normal data")


def watched(denoiser: Denoiser, levels: list[float]) -> Denoiser:
    """Return the same denoiser, which writes down the level of every call."""

    def call(noisy: Images, level: Images) -> tuple[Images, Images | None]:
        assert level.unique().numel() == 1
        levels.append(level[0].item())
        return denoiser.call(noisy, level)

    return Denoiser(call, denoiser.highest, denoiser.source)


def knowing(kind: type[Network], denoiser: Denoiser, **fields: Any) -> Network:
    """Return a purifier of a kind with a denoiser in place of its weights'."""

    class Knowing(kind, frozen=True, extra="forbid"):
        def open_denoiser(self, worker: Worker) -> Denoiser:
            return denoiser

    return Knowing(weights=WeightsRef(untrained=0), **fields)


def noisy_copies(num: int = 6, *, spread: float = 0.5) -> Images:
    """Return copies of the [0, 1] range with noise, one channel of 4 x 4."""
    key = noise_key(0, spread, "copies", "certified", 0)
    return 0.5 + spread * gaussian(key, 0, num, (1, 4, 4))


def draw_for(noisy: Images, seed: int = 0) -> Callable[[str], Images]:
    """Return independent normal noise for the copies, by the name of a stream."""

    def draw(stream: str) -> Images:
        key = noise_key(seed, 1.0, "image", stream, 0)
        return gaussian(key, 0, len(noisy), tuple(noisy.shape[1:]))

    return draw
