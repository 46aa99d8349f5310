"""Data of one Gaussian, for which the best network and its result are known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from ops.purify.one_shot import Prediction, denoise

MEAN, STD = 0.2, 0.4  # of the data, on the [-1, 1] range
PREDICTIONS: list[Prediction] = ["epsilon", "v", "x0"]


def noisy_copies() -> torch.Tensor:
    signed = np.random.default_rng(0).normal(MEAN, 1.0, (5, 3, 4, 4))
    return torch.tensor((signed + 1) / 2, dtype=torch.float32)


def best_network(alpha_bar: float, prediction: Prediction) -> Callable:
    """Return the expectation of the target given the input, for N(MEAN, STD^2)."""
    signal, noise = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)

    def predict(diffused: torch.Tensor) -> torch.Tensor:
        excess = diffused - signal * MEAN
        total = alpha_bar * STD**2 + noise**2  # variance of the input
        noise_mean, clean_mean = (
            noise / total * excess,
            MEAN + signal * STD**2 / total * excess,
        )
        return {
            "epsilon": noise_mean,
            "v": signal * noise_mean - noise * clean_mean,
            "x0": clean_mean,
        }[prediction]

    return predict


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("sigma", [0.12, 0.5])
def test_gaussian_data_are_denoised_to_their_posterior_mean(
    sigma: float, prediction: Prediction
) -> None:
    noisy, sigma_signed = noisy_copies(), 2 * sigma
    alpha_bar = 1 / (1 + sigma_signed**2)
    purified = denoise(
        noisy,
        best_network(alpha_bar, prediction),
        alpha_bar=alpha_bar,
        prediction=prediction,
        clip=False,
    )
    signed = 2 * noisy.double() - 1
    expected = (STD**2 * signed + sigma_signed**2 * MEAN) / (STD**2 + sigma_signed**2)
    np.testing.assert_allclose(purified, (expected + 1) / 2, atol=2e-6)


def test_channels_of_a_learned_variance_are_not_read() -> None:
    noisy, plain = noisy_copies(), best_network(0.5, "epsilon")

    def learned(diffused: torch.Tensor) -> torch.Tensor:
        return torch.cat([plain(diffused), torch.full_like(diffused, 99.0)], dim=1)

    plain_result, learned_result = (
        denoise(noisy, predict, alpha_bar=0.5, prediction="epsilon", clip=True)
        for predict in (plain, learned)
    )
    assert torch.equal(plain_result, learned_result)


def test_clipping_cuts_to_the_range_of_pixels_and_changes_nothing_inside() -> None:
    noisy = noisy_copies() * 3 - 1
    free, clipped = (
        denoise(noisy, lambda x: x, alpha_bar=0.8, prediction="x0", clip=clip)
        for clip in (False, True)
    )
    assert free.min() < 0
    assert free.max() > 1
    assert torch.equal(clipped, free.clamp(0, 1))
