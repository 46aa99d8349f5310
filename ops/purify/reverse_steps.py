"""The steps of a diffusion model's reverse chain, of all timesteps or of some."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64

Images = Float32[torch.Tensor, "copy channel height width"]

Variance = Literal["fixed_small", "fixed_large", "learned"]
"""How much noise a step adds.

fixed_small   the variance that a step has if the clean image is known, the least
fixed_large   the variance of the forward step, the most
learned       between the two, as the network says for each pixel
"""

Denoise = Callable[[Images, float], tuple[Images, Images | None]]
"""Unscaled noisy images of [-1, 1] and the std of their noise -> clean images, and what
the network says of the variance."""


@dataclass(frozen=True)
class ReverseStep:
    """A step from a timestep to the next that is kept, or to the clean image.

    Images are scaled here as a DDPM schedule has them.
    """

    alpha_bar: float
    """Share of the image's variance before the step, in (0, 1)."""

    clean: float
    """Factor of the clean image in the mean after the step."""

    scaled: float
    """Factor of the image before the step in it; 0 in the last step."""

    least: float
    """Variance of a step if the clean image is known; 0 in the last step."""

    most: float
    """Variance of the forward step, at least the least."""

    @property
    def level(self) -> float:
        """Std of the noise beside an unscaled image in [-1, 1] before the step."""
        return math.sqrt((1.0 - self.alpha_bar) / self.alpha_bar)


def kept_timesteps(timestep: int, steps: int | Literal["all"]) -> list[int]:
    """Return the timesteps at which a chain calls its network.

    Args:
        timestep: index into the schedule where the chain starts, at least 0.
        steps: ``b``, at least 1: the timesteps are ``round(timestep (1 - i / b))`` for
            ``i`` below ``b``, and 0; but 1 keeps the first alone. ``all`` keeps all.

    Returns:
        Falling indices, the first of them ``timestep``.

    Raises:
        ValueError: there are fewer timesteps above 0 than steps.

    Source:
        DensePure: Xiao et al. 2023, arXiv:2211.00322, and its public code.
    """
    if steps == "all":
        return list(range(timestep, -1, -1))
    if steps == 1:
        return [timestep]
    if steps > timestep:
        raise ValueError(
            f"reverse_chain needs at most as many steps as the timestep it starts at; "
            f"steps is {steps}, the noise is that of timestep {timestep}. Take fewer "
            f"steps or `steps: all`."
        )
    return [*(round(timestep - i * timestep / steps) for i in range(steps)), 0]


def reverse_steps(
    alpha_bar: Float64[np.ndarray, " timestep"], kept: Sequence[int]
) -> list[ReverseStep]:
    """Return the steps of the chain that leaves all but some timesteps out.

    Args:
        alpha_bar: variance of the image left at each timestep, in (0, 1).
        kept: falling indices; after the last comes the clean image.

    Returns:
        A step for each index, with the betas that follow from what is kept.

    Source:
        Ho et al. 2020, arXiv:2006.11239, equation 7; Nichol and Dhariwal 2021,
        arXiv:2102.09672, equation 19 (betas of fewer timesteps).
    """
    shares = [*(float(alpha_bar[index]) for index in kept), 1.0]
    return [_step(before, after) for before, after in pairwise(shares)]


def _step(before: float, after: float) -> ReverseStep:
    beta = 1.0 - before / after
    left = (1.0 - after) / (1.0 - before)
    return ReverseStep(
        alpha_bar=before,
        clean=math.sqrt(after) * beta / (1.0 - before),
        scaled=math.sqrt(before / after) * left,
        least=left * beta,
        most=beta,
    )


def walk(
    denoiser: Denoise,
    scaled: Images,
    steps: Sequence[ReverseStep],
    draw: Callable[[int], Images],
    *,
    variance: Variance,
) -> Images:
    """Return where one walk down a reverse chain ends.

    Args:
        denoiser: called once in each step.
        scaled: noisy images as the first step's timestep has them.
        steps: of :func:`reverse_steps`.
        draw: standard normal noise of a step, by its place from 0; not asked of the
            last step, which has none.
        variance: how much noise a step adds; learned needs a denoiser that tells.

    Returns:
        Images of the [-1, 1] range, those that the last step sees.

    Source:
        Ho et al. 2020, arXiv:2006.11239, algorithm 2.
    """
    clean = scaled
    for place, step in enumerate(steps):
        unscaled = scaled / math.sqrt(step.alpha_bar)
        clean, share = denoiser(unscaled, step.level)
        if place < len(steps) - 1:
            mean = step.clean * clean + step.scaled * scaled
            scaled = mean + _std(step, variance, share) * draw(place)
    return clean


def _std(
    step: ReverseStep, variance: Variance, share: Images | None
) -> float | Float32[torch.Tensor, "copy channel height width"]:
    """Return a step's std.

    Source:
        Nichol and Dhariwal 2021, arXiv:2102.09672, equation 15 (learned). Differs: it
        takes numbers in [0, 1]; published networks return [-1, 1].
    """
    if variance == "fixed_small":
        return math.sqrt(step.least)
    if variance == "fixed_large":
        return math.sqrt(step.most)
    assert share is not None  # refused when the chain was opened
    least, most = math.log(step.least), math.log(step.most)
    between = (share + 1.0) / 2.0
    return (0.5 * (between * most + (1.0 - between) * least)).exp()
