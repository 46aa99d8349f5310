import pytest
import torch
from gaussian_here import (
    MEAN,
    STD,
    WORKER,
    gaussian_denoiser,
    knowing,
    noisy_copies,
    watched,
)
from pydantic import TypeAdapter

from ops.purify.edm import Edm
from ops.purify.purifier import Purifier

SIGMAS = [0.05, 0.25, 1.0]


@pytest.mark.parametrize("sigma", SIGMAS)
def test_purified_copies_of_normal_data_are_posterior_means(sigma: float) -> None:
    noisy, level = noisy_copies(), 2 * sigma
    purify = knowing(Edm, gaussian_denoiser(), clip=False).open(WORKER, sigma)

    signed = (STD**2 * (2 * noisy - 1) + level**2 * MEAN) / (STD**2 + level**2)
    torch.testing.assert_close(purify(noisy), (signed + 1) / 2, atol=1e-6, rtol=0)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_network_is_called_once_and_told_twice_sigma(sigma: float) -> None:
    told: list[float] = []
    purifier = knowing(Edm, watched(gaussian_denoiser(), told))
    purifier.open(WORKER, sigma)(noisy_copies())

    assert told == [pytest.approx(2 * sigma)]
    assert purifier.calls_at(sigma) == 1


def test_clipped_copies_are_pixels_and_others_are_cut_to_the_same() -> None:
    wide = gaussian_denoiser(std=5.0)
    free = knowing(Edm, wide, clip=False).open(WORKER, 0.25)(noisy_copies())
    cut = knowing(Edm, wide).open(WORKER, 0.25)(noisy_copies())

    assert free.min() < 0
    assert free.max() > 1
    torch.testing.assert_close(cut, free.clamp(0, 1), atol=1e-6, rtol=0)


def test_noise_that_the_network_was_not_trained_on_is_refused() -> None:
    purifier = knowing(Edm, gaussian_denoiser(highest=1.0))

    purifier.open(WORKER, 0.5)
    with pytest.raises(ValueError, match=r"up to 0\.5 with normal data; sigma is 0\.6"):
        purifier.open(WORKER, 0.6)


def test_a_recipe_names_it_by_its_kind() -> None:
    recipe = {"kind": "edm", "weights": {"untrained": 0}}

    assert type(TypeAdapter(Purifier).validate_python(recipe)) is Edm
