"""Purification along the probability flow of a diffusion model."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float32, Float64

from ops.columns import Worker
from ops.pixels import to_signed, to_unit
from ops.purify.levels import Levels
from ops.purify.open_denoiser import DenoisingNetwork
from ops.purify.purifying import Images, Purifying

State = Float64[torch.Tensor, "copy channel height width"]
Solver = Literal["heun", "euler"]
Denoise = Callable[[Images, float], Float32[torch.Tensor, "copy channel height width"]]
"""Unscaled noisy images of [-1, 1] and the std of their noise -> clean images."""


class PfOde(DenoisingNetwork, Purifying, frozen=True, extra="forbid"):
    """Follow a copy down the flow that takes noisy images to images like the data's.

    Unlike one call of the network, which returns the mean of all images that the copy
    may come from, the flow ends in one of them.

    Source:
        Karras et al. 2022, arXiv:2206.00364, algorithm 1 without churn of the noise
        (S_churn 0); as a purifier: the baseline "PF-ODE EDM" of Consistency
        Purification, Li et al. 2024, arXiv:2407.00623, which starts at the nearest
        level.
    """

    kind: Literal["pf_ode"] = "pf_ode"

    levels: Levels = Levels()
    """Levels of noise to step through; their number sets the number of steps."""

    solver: Solver = "heun"
    """How to step: heun is of second order and calls the network twice."""

    start: Literal["exact", "nearest"] = "exact"
    """Where to start: at the copy's own level of noise, twice sigma, or at the nearest
    of the levels, as if the copy had that noise."""

    clip: bool = True
    """Whether purified copies are cut to the range of pixels."""

    def calls_at(self, sigma: float) -> int:
        """Return the calls of the network for each noisy copy.

        Args:
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Returns:
            One for each step, or two with heun, but one for the last step.

        Raises:
            ValueError: the noise is above all levels.
        """
        steps = len(self.path(sigma)) - 1
        return 2 * steps - 1 if self.solver == "heun" else steps

    def path(self, sigma: float) -> list[float]:
        """Return the levels of noise that a copy goes through.

        Args:
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Returns:
            Falling stds on the [-1, 1] range, from the start to 0; two or more.

        Raises:
            ValueError: the noise is above all levels.
        """
        levels = self.levels.values().tolist()
        nearest = levels[self.levels.nearest(2.0 * sigma)]
        first = nearest if self.start == "nearest" else 2.0 * sigma
        below = [level for level in reversed(levels) if level < first]
        return [first, *below, 0.0]

    def open(self, worker: Worker, sigma: float) -> Callable[[Images], Images]:
        """Load the network and return the purifying function.

        Args:
            worker: where to compute, and what reads the weights.
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Returns:
            A function from noisy copies to purified ones, float32, of the [0, 1] range.

        Raises:
            ValueError: weights do not fit, or the network or the levels do not reach
                this noise.
        """
        path = self.path(sigma)
        denoiser = self.open_denoiser(worker)
        denoiser.require(max(path[0], 2.0 * sigma))

        def purify(noisy: Images) -> Images:
            clean = flow(denoiser, to_signed(noisy).double(), path, self.solver).float()
            return to_unit(clean.clamp(-1.0, 1.0) if self.clip else clean)

        return purify


def flow(
    denoiser: Denoise, noisy: State, path: Sequence[float], solver: Solver
) -> State:
    """Return where the flow takes noisy images.

    Args:
        denoiser: called in float32.
        noisy: unscaled images of the [-1, 1] range plus noise.
        path: falling levels of noise; the last may be 0 and is then reached by Euler's
            step, because the slope there has no limit a network could tell.
        solver: heun corrects each of Euler's steps by the slope at its end.

    Returns:
        Images of the last level of noise, float64, not clipped.

    Source:
        Karras et al. 2022, arXiv:2206.00364, algorithm 1 and equation 3 with scaling 1
        and noise growing as time.
    """

    def slope(image: State, level: float) -> State:
        return (image - denoiser(image.float(), level)) / level

    image = noisy
    for level, lower in pairwise(path):
        first = slope(image, level)
        ahead = image + (lower - level) * first
        if solver == "heun" and lower > 0.0:
            mean = (first + slope(ahead, lower)) / 2.0
            ahead = image + (lower - level) * mean
        image = ahead
    return image
