"""How far one call ends from the mean of the clean images: DiffSmooth's Theorem 2.

With ``s`` the std of the noise beside an unscaled image on the [-1, 1] range, a
denoiser that predicts the noise ``e`` as ``p`` returns, exactly,

    denoised - E[clean | noisy] = s (E[e | noisy] - p),
    denoised - clean            = s (e - p).

So the error of the predicted noise bounds both. Lengths are on the [-1, 1] range; halve
them for [0, 1] pixels.
"""

import math

import torch
from jaxtyping import Float32, Float64

Images = Float32[torch.Tensor, "copy channel height width"]


def noise_error(
    denoised: Images, clean: Images, level: float
) -> Float64[torch.Tensor, " copy"]:
    """Return the squared error of the noise that a denoiser predicts.

    Args:
        denoised: what the denoiser returns, unclipped, on the [-1, 1] range.
        clean: the images behind the noise, on that range.
        level: std of the noise that the denoiser was told (s), above 0.

    Returns:
        ``|| e - p ||^2`` of each copy, a sum over pixels, at least 0.
    """
    error = (denoised.double() - clean.double()).flatten(1)
    return error.square().sum(dim=1) / level**2


def as_printed(level: float, mean_error: float) -> float:
    """Return the right side as the paper prints it, its loss written out.

    The theorem's prefactor and the weight of the loss at a timestep cancel but for the
    level. What is left bounds the distance only where the mean error is at least 1,
    because a length stands on the left and a square on the right.

    Args:
        level: std of the noise on the [-1, 1] range (s), above 0.
        mean_error: mean of ``noise_error`` over images and noise, at least 0.

    Returns:
        ``s E || e - p ||^2``.

    Source:
        DiffSmooth: Zhang et al. 2023, arXiv:2308.14333, Theorem 2, with the loss of Ho
        et al. 2020, arXiv:2006.11239, equation 12.
    """
    return level * mean_error


def always_valid(level: float, mean_error: float) -> float:
    """Return the right side that needs no condition.

    Args:
        level: std of the noise on the [-1, 1] range (s), above 0.
        mean_error: mean of ``noise_error`` over images and noise, at least 0.

    Returns:
        ``s sqrt(E || e - p ||^2)``. It bounds the mean distance of what a denoiser
        returns to the mean of the clean images, and its root mean square, by Jensen's
        inequality; the root mean square to the clean image itself it equals.
    """
    return level * math.sqrt(mean_error)
