"""How Karras et al. set a network between noisy and denoised images.

Every function is of ``sigma_signed``, the std of the noise beside an unscaled image in
[-1, 1], and of ``sigma_data``, the std of such images' pixels.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float32

Levels = Float32[torch.Tensor, " image"]
Images = Float32[torch.Tensor, "image channel height width"]


def skip_scale(sigma_signed: Levels, sigma_data: float) -> Levels:
    """Return the share of the noisy image in the denoised one, in (0, 1).

    Source: Karras et al. 2022, arXiv:2206.00364, table 1, c_skip.
    """
    return sigma_data**2 / (sigma_signed.square() + sigma_data**2)


def output_scale(sigma_signed: Levels, sigma_data: float) -> Levels:
    """Return the factor on the network's output, positive.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1, c_out.
    """
    return sigma_signed * sigma_data * input_scale(sigma_signed, sigma_data)


def input_scale(sigma_signed: Levels, sigma_data: float) -> Levels:
    """Return the factor on the noisy image that gives it unit variance, positive.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1, c_in.
    """
    return (sigma_signed.square() + sigma_data**2).rsqrt()


def time_of(sigma_signed: Levels) -> Levels:
    """Return the number that the network is told in place of a timestep.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1, c_noise.
    """
    return sigma_signed.log() / 4.0


def loss_weight(sigma_signed: Levels, sigma_data: float) -> Levels:
    """Return the weight of a squared error that makes the network's own count 1.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1, lambda.
    """
    return output_scale(sigma_signed, sigma_data).square().reciprocal()


def precondition(
    network: Callable[..., torch.Tensor], sigma_signed: Levels, sigma_data: float
) -> Callable[[Images], Images]:
    """Return the denoiser that a network is at some levels of noise.

    Args:
        network: maps scaled images and ``time_of`` their levels to its output.
        sigma_signed: std of each image's noise on the [-1, 1] range, above 0.
        sigma_data: std of the pixels of clean images on that range, above 0.

    Returns:
        A function from noisy images, not scaled, to denoised ones of the [-1, 1] range.

    Source:
        Karras et al. 2022, arXiv:2206.00364, equation 7.
    """
    skip = _of_image(skip_scale(sigma_signed, sigma_data))
    scale_in = _of_image(input_scale(sigma_signed, sigma_data))
    scale_out = _of_image(output_scale(sigma_signed, sigma_data))
    time = time_of(sigma_signed)

    def denoise(noisy: Images) -> Images:
        return skip * noisy + scale_out * network(scale_in * noisy, time)

    return denoise


def _of_image(level: Levels) -> Float32[torch.Tensor, "image 1 1 1"]:
    return level.view(-1, 1, 1, 1)
