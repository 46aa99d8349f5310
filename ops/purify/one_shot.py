"""One-shot denoising: what stands around the network, whatever the network."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float32

from ops.pixels import to_signed, to_unit

Prediction = Literal["epsilon", "v", "x0"]
"""What a network was trained to return: the noise, the velocity, the clean image."""

Images = Float32[torch.Tensor, "copy channel height width"]
Share = float | Float32[torch.Tensor, "copy 1 1 1"]
Outputs = Float32[torch.Tensor, "copy output_channel height width"]


def denoise(
    noisy: Images,
    predict: Callable[[Images], Outputs],
    *,
    alpha_bar: float,
    prediction: Prediction,
    clip: bool,
) -> Images:
    """Return the clean images that a diffusion network sees behind noisy ones.

    Args:
        noisy: images in [0, 1] plus noise of the std that belongs to ``alpha_bar``.
        predict: the network at its timestep, on scaled images of the [-1, 1] range;
            it may return further channels (a learned variance), which are not read.
        alpha_bar: share of the image's variance at the timestep, in (0, 1).
        prediction: what ``predict`` returns.
        clip: whether to cut the result to the range of pixels.

    Returns:
        Images of the [0, 1] range, within it if clipped.

    Source:
        DiffSmooth: Zhang et al., USENIX Security 2023, arXiv:2308.14333; DDS: Carlini
        et al. 2023, arXiv:2206.10550, algorithm 1.
    """
    diffused = math.sqrt(alpha_bar) * to_signed(noisy)
    output = predict(diffused)[:, : noisy.shape[1]]
    clean = clean_of(diffused, output, alpha_bar=alpha_bar, prediction=prediction)
    return to_unit(clean.clamp(-1.0, 1.0) if clip else clean)


def clean_of(
    diffused: Images, output: Images, *, alpha_bar: float, prediction: Prediction
) -> Images:
    """Return the clean images that follow from a network's output.

    Args:
        diffused: what the network was given, scaled by ``sqrt(alpha_bar)``.
        output: what it returned, without further channels.
        alpha_bar: share of the image's variance at the timestep, in (0, 1).
        prediction: what ``output`` is.

    Returns:
        Images of the [-1, 1] range, not clipped.

    Source:
        Ho et al. 2020, arXiv:2006.11239, equation 15 (epsilon); Salimans and Ho 2022,
        arXiv:2202.00512, appendix D (v).
    """
    signal, noise = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    return clean_of_shares(diffused, output, signal, noise, prediction)


def clean_of_shares(
    diffused: Images,
    output: Images,
    signal: Share,
    noise: Share,
    prediction: Prediction,
) -> Images:
    """Return what ``clean_of`` returns, for images of the same or of unlike noise.

    Args:
        diffused: what the network was given.
        output: what it returned, without further channels.
        signal: factor of the clean image in ``diffused``, for all images or each.
        noise: factor of the noise in it.
        prediction: what ``output`` is.
    """
    if prediction == "epsilon":
        return (diffused - noise * output) / signal
    if prediction == "v":
        return signal * diffused - noise * output
    return output
