"""How a consistency model's network is set between noisy and clean images.

A level is the std of the noise beside an unscaled image in [-1, 1], twice a sigma.
"""

from collections.abc import Callable
from typing import Annotated

import torch
from jaxtyping import Float, Float32
from pydantic import BaseModel, Field, PositiveFloat, model_validator

from ops.purify.karras import input_scale
from ops.purify.levels import Levels

Level = Float[torch.Tensor, " image"]
Images = Float32[torch.Tensor, "image channel height width"]
Network = Callable[[Images, torch.Tensor], torch.Tensor]
"""Scaled images, and what the network is told of the level of each -> its output."""


class ConsistencySettings(BaseModel, frozen=True, extra="forbid"):
    """What a consistency model was trained for.

    Source:
        Song et al. 2023, arXiv:2303.01469, section 2 (levels) and appendix C (scales).
    """

    sigma_data: PositiveFloat = 0.5
    """Std of clean images' pixels, on the [-1, 1] range."""

    lowest: PositiveFloat = 0.002
    """Level at which the model returns its input as it is."""

    highest: PositiveFloat = 80.0
    """Highest level it was trained at."""

    rho: PositiveFloat = 7.0
    """How much denser low levels of the training grid are; 1 spaces them evenly."""

    num_levels: Annotated[int, Field(ge=2)] = 18
    """Levels of the training grid (N)."""

    time_factor: PositiveFloat = 1000.0
    """Factor on a quarter of the level's logarithm, as the network is told it: 1000 in
    the public models, 1 in networks that began as an EDM network here."""

    @model_validator(mode="after")
    def _has_a_grid(self) -> "ConsistencySettings":
        self.levels()
        return self

    def levels(self) -> Levels:
        """Return the grid of levels it was trained on."""
        return Levels(
            num=self.num_levels,
            lowest=self.lowest,
            highest=self.highest,
            rho=self.rho,
        )


def skip_scale(level: Level, settings: ConsistencySettings) -> Level:
    """Return the share of the noisy image in the clean one, in (0, 1].

    It is exactly 1 at the lowest level.

    Source: Song et al. 2023, arXiv:2303.01469, appendix C, c_skip.
    """
    square = settings.sigma_data**2
    return square / ((level - settings.lowest).square() + square)


def output_scale(level: Level, settings: ConsistencySettings) -> Level:
    """Return the factor on the network's output, at least 0.

    It is exactly 0 at the lowest level.

    Source: Song et al. 2023, arXiv:2303.01469, appendix C, c_out.
    """
    whole = level.square() + settings.sigma_data**2
    return (level - settings.lowest) * settings.sigma_data * whole.rsqrt()


def time_of(level: Level, settings: ConsistencySettings) -> Level:
    """Return what the network is told of a level.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1, c_noise; Song et al. 2023,
    arXiv:2303.01469, appendix C, keep it. The public models' networks are told 1000
    times as much.
    """
    return settings.time_factor * level.log() / 4.0


def consistency_function(
    network: Network,
    level: Float[torch.Tensor, " image"],
    settings: ConsistencySettings,
) -> Callable[[Images], Images]:
    """Return the consistency function that a network is at some levels of noise.

    Gradients flow through it to the images and to the network's weights.

    Args:
        network: maps scaled images and ``time_of`` their levels to its output.
        level: std of each image's noise on the [-1, 1] range, at least the lowest.
        settings: what the network was trained for.

    Returns:
        A function from noisy images of the [-1, 1] range, not scaled, to clean ones of
        that range, not clipped. At the lowest level it returns what it is given.

    Source:
        Song et al. 2023, arXiv:2303.01469, equation 5 with appendix C.
    """
    skip = _of_image(skip_scale(level, settings))
    scale_out = _of_image(output_scale(level, settings))
    scale_in = _of_image(input_scale(level.float(), settings.sigma_data))
    time = time_of(level, settings).float()

    def clean(noisy: Images) -> Images:
        return skip * noisy + scale_out * network(scale_in * noisy, time)

    return clean


def _of_image(scale: Level) -> Float32[torch.Tensor, "image 1 1 1"]:
    return scale.float().view(-1, 1, 1, 1)
