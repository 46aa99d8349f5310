"""The range of certified pixels, checked where they enter; without PyTorch."""

import numpy as np
from jaxtyping import Float32


def require_unit(
    image: Float32[np.ndarray, "..."], image_key: str
) -> Float32[np.ndarray, "..."]:
    """Return the image, once sure that it is one a certificate may speak of.

    Args:
        image: the certified input, before noise.
        image_key: official name of the image, for the error.

    Returns:
        The same image.

    Raises:
        ValueError: a pixel lies outside [0, 1] or is NaN.
    """
    low, high = image.min(), image.max()
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(
            f"Certification needs pixels in [0, 1]; image {image_key!r} spans "
            f"[{low:.3g}, {high:.3g}]. Images in [-1, 1] pass through "
            f"ops.pixels.to_unit first, bytes through ops.pixels.from_bytes; noise is "
            f"added after this check."
        )
    return image
