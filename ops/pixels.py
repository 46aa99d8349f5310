"""Pixel ranges: certified images lie in [0, 1], diffusion models in [-1, 1]."""

import torch
from jaxtyping import Float32, UInt8


def to_signed(image: Float32[torch.Tensor, "..."]) -> Float32[torch.Tensor, "..."]:
    """Return pixels of the [0, 1] range on the [-1, 1] range of diffusion models.

    Noise of std ``sigma`` on the one range has std ``2 * sigma`` on the other.

    Args:
        image: pixels; noisy ones may lie outside [0, 1].

    Returns:
        ``2 * image - 1``.
    """
    return 2.0 * image - 1.0


def to_unit(signed: Float32[torch.Tensor, "..."]) -> Float32[torch.Tensor, "..."]:
    """Return pixels of the [-1, 1] range on the [0, 1] range.

    Args:
        signed: pixels as a diffusion model holds them.

    Returns:
        ``(signed + 1) / 2``.
    """
    return (signed + 1.0) / 2.0


def from_bytes(pixels: UInt8[torch.Tensor, "..."]) -> Float32[torch.Tensor, "..."]:
    """Return stored bytes as pixels in [0, 1].

    Args:
        pixels: values in 0..255.

    Returns:
        ``pixels / 255``, exact to the last bit of float32.
    """
    return pixels.to(torch.float32) / 255.0


def to_bytes(image: Float32[torch.Tensor, "..."]) -> UInt8[torch.Tensor, "..."]:
    """Return pixels as the nearest bytes, for files and pictures.

    Args:
        image: pixels; those outside [0, 1] become black or white.

    Returns:
        Values in 0..255; the inverse of ``from_bytes``.
    """
    return (image.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
