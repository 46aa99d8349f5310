"""Projected gradient ascent in an l2 ball."""

from typing import Literal

import torch
from pydantic import BaseModel, PositiveInt

from ops.attack.ascent import Goal, Images, steepest, within


class PgdL2(BaseModel, frozen=True, extra="forbid"):
    """Steps of equal length along the steepest way, kept in the ball and in the pixels.

    Source:
        Salman et al. 2019, arXiv:1906.04584, SmoothAdv_PGD. Differs: where the value is
        flat the image stays, in place of a random step.
    """

    kind: Literal["pgd_l2"] = "pgd_l2"

    steps: PositiveInt
    """Gradients taken; each step is twice the radius over their number."""

    def perturbed(self, goal: Goal, image: Images, radius: float) -> Images:
        """Return the images as the attack leaves them.

        Args:
            goal: what is climbed.
            image: pixels in [0, 1].
            radius: l2 norm that no shift exceeds, in [0, 1] pixels, at least 0.

        Returns:
            Pixels in [0, 1].
        """
        length = 2.0 * radius / self.steps
        shift = torch.zeros_like(image)
        for _ in range(self.steps):
            direction, _ = steepest(goal, image + shift)
            moved = (image + shift + length * direction).clamp(0.0, 1.0)
            shift = within(moved - image, radius)
        return image + shift
