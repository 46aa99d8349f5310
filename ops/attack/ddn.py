"""The attack that decouples direction and norm."""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Float32
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt

from ops.attack.ascent import Goal, Images, norm_of, of_norm, steepest, within

LAST_STEP = 0.01
"""What the length of a step falls to, from 1 pixel, along half a cosine."""

TOP_LEVEL = 255
"""Pixels are rounded to the levels 0, 1, ... of 8 bits."""


class Ddn(BaseModel, frozen=True, extra="forbid"):
    """Look for the shortest shift that reaches the goal, on a sphere that breathes.

    The sphere shrinks where the goal is reached and grows where it is not. Each of as
    many places as there are steps is tried, the image itself first; the shortest that
    reached the goal counts, cut to the radius. Where none did, the image stays.

    Source:
        Rony et al. 2019, arXiv:1811.09600, algorithm 1, untargeted. Differs: what is
        cut to the radius is not rounded once more, for it could grow; where the value
        is flat the direction stays, in place of a random step.
    """

    kind: Literal["ddn"] = "ddn"

    steps: PositiveInt
    """Places tried and gradients taken."""

    first_norm: PositiveFloat = 1.0
    """Radius of the sphere at first, in [0, 1] pixels."""

    breath: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share by which the sphere grows or shrinks in a step (gamma)."""

    def perturbed(self, goal: Goal, image: Images, radius: float) -> Images:
        """Return the images as the attack leaves them.

        Args:
            goal: what is climbed, and whether it is reached.
            image: pixels in [0, 1].
            radius: l2 norm that no shift exceeds, in [0, 1] pixels, at least 0.

        Returns:
            Pixels in [0, 1].
        """
        norm = torch.full_like(image[:, 0, 0, 0], self.first_norm)
        shift = best = torch.zeros_like(image)
        least = torch.full_like(norm, math.inf)
        for step in range(self.steps):
            direction, reached = steepest(goal, image + shift)
            length = norm_of(shift)
            better = reached & (length < least)
            least = torch.where(better, length, least)
            best = torch.where(better.view(-1, 1, 1, 1), shift, best)
            norm = self._breathed(norm, image, reached)
            aim = shift + _step_length(step, self.steps) * direction
            shift = _rounded(image, of_norm(norm, aim))
        return image + within(best, radius)

    def _breathed(
        self,
        norm: Float32[torch.Tensor, " image"],
        image: Images,
        reached: torch.Tensor,
    ) -> Float32[torch.Tensor, " image"]:
        """Return the next radii of the spheres, none beyond the farthest corner."""
        farthest = norm_of(torch.maximum(image, 1.0 - image))
        factor = torch.where(reached, 1.0 - self.breath, 1.0 + self.breath)
        return torch.minimum(norm * factor, farthest)


def _step_length(step: int, steps: int) -> float:
    fall = (1.0 + math.cos(math.pi * step / steps)) / 2.0
    return LAST_STEP + (1.0 - LAST_STEP) * fall


def _rounded(image: Images, shift: Images) -> Images:
    """Return shifts that lead to 8-bit pixels in [0, 1]."""
    level = ((image + shift) * TOP_LEVEL).round()
    return (level / TOP_LEVEL).clamp(0.0, 1.0) - image
