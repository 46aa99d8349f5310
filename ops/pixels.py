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


def require_unit(
    image: Float32[torch.Tensor, "..."], image_key: str
) -> Float32[torch.Tensor, "..."]:
    """Return the image, once sure that it is one a certificate may speak of.

    Args:
        image: the certified input, before noise.
        image_key: official name of the image, for the error.

    Returns:
        The same image.

    Raises:
        ValueError: a pixel lies outside [0, 1] or is NaN.
    """
    low, high = image.min().item(), image.max().item()
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(
            f"Certification needs pixels in [0, 1]; image {image_key!r} spans "
            f"[{low:.3g}, {high:.3g}]. Images in [-1, 1] pass through "
            f"ops.pixels.to_unit first, bytes through ops.pixels.from_bytes; noise is "
            f"added after this check."
        )
    return image
