"""The steepest way up for every image of a batch, and lengths of shifts."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float32

Images = Float32[torch.Tensor, "image channel height width"]

Goal = Callable[
    [Images], tuple[Float32[torch.Tensor, " image"], Bool[torch.Tensor, " image"]]
]
"""What an attack climbs: images in, a differentiable value for each out, and whether
the attack has got there already. An image's value depends on no other image."""


def steepest(goal: Goal, image: Images) -> tuple[Images, Bool[torch.Tensor, " image"]]:
    """Return the direction in which each image's value rises most.

    No gradient reaches what the goal is made of.

    Args:
        goal: what is climbed.
        image: where the images are now.

    Returns:
        Directions of l2 norm 1, or 0 where the value is flat; and whether the goal is
        reached at ``image``.
    """
    with torch.enable_grad():
        place = image.detach().requires_grad_()
        value, reached = goal(place)
        (gradient,) = torch.autograd.grad(value.sum(), place)
    return unit(gradient), reached


def unit(shift: Images) -> Images:
    """Return shifts scaled to an l2 norm of 1; those of 0 stay.

    Scaled by the largest entry first, because squares of the gradients of a confident
    network underflow.
    """
    largest = shift.abs().amax(dim=(1, 2, 3), keepdim=True)
    scaled = shift / largest.clamp(min=torch.finfo(shift.dtype).tiny)
    return scaled / _beside_pixels(norm_of(scaled)).clamp(min=1.0)


def within(shift: Images, radius: float) -> Images:
    """Return shifts, those longer than a radius shortened to it.

    Args:
        shift: in pixels.
        radius: l2 norm in pixels, at least 0.
    """
    norm = norm_of(shift).clamp(min=torch.finfo(shift.dtype).tiny)
    return shift * _beside_pixels((radius / norm).clamp(max=1.0))


def of_norm(norm: Float32[torch.Tensor, " image"], shift: Images) -> Images:
    """Return shifts scaled to given l2 norms; those of 0 stay."""
    return _beside_pixels(norm) * unit(shift)


def norm_of(shift: Images) -> Float32[torch.Tensor, " image"]:
    """Return the l2 norm of each shift, in pixels."""
    return torch.linalg.vector_norm(shift, dim=(1, 2, 3))


def _beside_pixels(
    number: Float32[torch.Tensor, " image"],
) -> Float32[torch.Tensor, "image 1 1 1"]:
    return number.view(-1, 1, 1, 1)
