import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ops.losses.dncnn_mse import DenoiseMse
from ops.losses.minibatch import Minibatch


def drawn(num: int = 32) -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((num, 1, 4, 4), dtype=np.float32))
    return Minibatch(image, torch.zeros(num, dtype=torch.int64), seed=0, step=0)


def test_a_perfect_denoiser_costs_nothing() -> None:
    batch = drawn()

    loss = DenoiseMse(sigma_train=0.5).loss(lambda noisy: batch.image, batch)

    assert loss.item() == 0.0


def test_changing_nothing_costs_the_variance_of_the_noise() -> None:
    batch = drawn(2000)

    loss = DenoiseMse(sigma_train=0.5).loss(lambda noisy: noisy, batch)

    slack = 4 * math.sqrt(2 / batch.image.numel())  # four standard errors
    assert loss.item() == pytest.approx(0.25, rel=slack)


def test_an_image_counts_as_much_as_its_weight() -> None:
    batch = drawn(2)
    error = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    weighted = replace(batch, weight=torch.tensor([1.0, 0.5]))

    loss = DenoiseMse(sigma_train=0.5).loss(lambda noisy: batch.image + error, weighted)

    assert loss.item() == pytest.approx((1.0 + 0.5 * 9.0) / 2)


def test_it_says_for_which_noise_it_trains() -> None:
    said = DenoiseMse(sigma_train=0.25).said()

    assert said == {"objective": "denoise_mse", "sigma_train": 0.25}


def test_a_denoiser_of_no_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="sigma_train"):
        DenoiseMse(sigma_train=0.0)
