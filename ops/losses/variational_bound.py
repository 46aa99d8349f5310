"""What a learned variance is trained by: the bound on an image's likelihood."""

import math

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch.special import ndtr

from ops.schedules import Schedule

WEIGHT = 0.001
"""Weight of the bound beside the squared error (lambda)."""

HALF_STEP = 1.0 / 255.0
"""Half of what lies between two values of a byte, on the [-1, 1] range."""

LEAST_PROBABILITY = 1e-12
"""Of a byte's value: the float32 logarithm of less could be minus infinity."""

Images = Float32[torch.Tensor, "image channel height width"]


def variational_bound(
    signed: Images,
    clean_error: Images,
    variance: Images,
    *,
    timestep: Int64[torch.Tensor, " image"],
    schedule: Schedule,
) -> Float32[torch.Tensor, " image"]:
    """Return a timestep's term of the bound on an image's negative log likelihood.

    Its mean over uniform timesteps, times their number, is the whole bound, but for a
    constant. Only the variance learns from it: pass ``clean_error`` without gradient.

    Args:
        signed: images in [-1, 1].
        clean_error: the image less the clean image a network sees at its timestep.
        variance: what the network says of its variance: -1 for the least that any
            data allow, that of the posterior; 1 for the most, that of the forward step.
        timestep: index into the schedule, one per image.
        schedule: of at least two timesteps.

    Returns:
        Mean over pixels, in bits: a Kullback-Leibler divergence of at least 0, at
        timestep 0 the code length of the image's bytes.

    Source:
        Nichol and Dhariwal 2021, arXiv:2102.09672, equations 4 to 6, 10, 11 and 15;
        Ho, Jain and Abbeel 2020, arXiv:2006.11239, equation 13 (timestep 0). Differs:
        equation 15 takes numbers in [0, 1]; published networks return [-1, 1].
    """
    least, most, gain = (_at(row, timestep) for row in _posterior(schedule))
    share = (variance + 1.0) / 2.0
    log_variance = share * most.log() + (1.0 - share) * least.log()
    mean_error = gain * clean_error
    divergence = gaussian_divergence(mean_error, least.log(), log_variance)
    code_length = byte_code_length(signed, mean_error, log_variance)
    first = timestep.view(-1, 1, 1, 1) == 0
    nats = torch.where(first, code_length, divergence)
    return nats.flatten(1).mean(dim=1) / math.log(2.0)


def _posterior(schedule: Schedule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return least and most variance of a reverse step, and the mean's share of x0."""
    alpha_bar = schedule.alpha_bar()
    before = np.concatenate([[1.0], alpha_bar[:-1]])
    beta = 1.0 - alpha_bar / before
    least = (1.0 - before) / (1.0 - alpha_bar) * beta
    least[0] = least[1]  # there is no posterior at timestep 0
    return least, beta, np.sqrt(before) * beta / (1.0 - alpha_bar)


def _at(
    row: np.ndarray, timestep: Int64[torch.Tensor, " image"]
) -> Float32[torch.Tensor, "image 1 1 1"]:
    values = torch.from_numpy(row).float().to(timestep.device)
    return values[timestep].view(-1, 1, 1, 1)


def gaussian_divergence(
    mean_error: Images,
    log_variance: Float32[torch.Tensor, "image 1 1 1"],
    log_variance_model: Images,
) -> Images:
    """Return the Kullback-Leibler divergence of one Gaussian from another.

    Args:
        mean_error: difference of the means.
        log_variance: of the first.
        log_variance_model: of the second, the one that is trained.

    Returns:
        At least 0, in nats.
    """
    apart = log_variance - log_variance_model
    excess = mean_error.square() * (-log_variance_model).exp()
    return 0.5 * (apart.exp() - apart - 1.0 + excess)


def byte_code_length(
    signed: Images, mean_error: Images, log_variance: Images
) -> Images:
    """Return the negative log probability a Gaussian gives the bytes of an image.

    Black and white get what the Gaussian has beyond them.

    Args:
        signed: images in [-1, 1].
        mean_error: the image less the Gaussian's mean.
        log_variance: of the Gaussian.

    Returns:
        At least 0, in nats.

    Source:
        Ho, Jain and Abbeel 2020, arXiv:2006.11239, equation 13.
    """
    per_std = (-0.5 * log_variance).exp()
    up_to = ndtr((mean_error + HALF_STEP) * per_std)
    below = ndtr((mean_error - HALF_STEP) * per_std)
    up_to = torch.where(signed > 1.0 - HALF_STEP, 1.0, up_to)
    below = torch.where(signed < HALF_STEP - 1.0, 0.0, below)
    return -(up_to - below).clamp(min=LEAST_PROBABILITY).log()
