import numpy as np
import pytest
import torch

from ops.theory.theorem33 import distance_to_data


def images(
    num: int, *, mean: float = 0.5, std: float = 0.2, seed: int = 0
) -> torch.Tensor:
    normal = np.random.default_rng(seed).standard_normal((num, 1, 2, 2))
    return torch.tensor(mean + std * normal, dtype=torch.float32)


def flat(image: torch.Tensor) -> torch.Tensor:
    return image.flatten(1)


def test_clean_images_themselves_are_no_distance_from_the_data() -> None:
    clean = images(50)
    assert distance_to_data(flat, clean, clean, 7) == pytest.approx(0.0, abs=1e-6)


def test_distance_of_gaussian_images_is_the_closed_form() -> None:
    found = distance_to_data(
        flat, images(4000), images(4000, mean=0.7, std=0.5, seed=1), 500
    )
    # Of each of 4 pixels: the means apart, and the stds apart, squared.
    assert found == pytest.approx(4 * (0.2**2 + 0.3**2), rel=0.05)


def test_distance_does_not_hang_on_the_calls_of_the_network() -> None:
    clean, purified = images(23), images(31, mean=0.4, seed=2)
    found = {distance_to_data(flat, clean, purified, batch) for batch in (1, 5, 100)}
    assert max(found) == pytest.approx(min(found), rel=1e-9)


def test_collapsed_images_are_farther_than_those_that_keep_the_spread() -> None:
    # As a posterior mean is from the data, and the end of a probability flow is not.
    clean, noise = images(2000), images(2000, mean=0.0, seed=3)
    blurred = 0.5 + 0.5 * (clean - 0.5)
    kept = 0.5 + ((clean - 0.5) + noise) / 2**0.5
    assert distance_to_data(flat, clean, blurred, 500) > 4 * distance_to_data(
        flat, clean, kept, 500
    )
