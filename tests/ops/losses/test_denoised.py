from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ops.columns import Worker
from ops.initialise import initialise
from ops.losses.denoised import DenoisedObjective, purified_image
from ops.losses.gaussian import GaussianObjective, gaussian_loss
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.purify.nothing import Nothing
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.schedules import Schedule
from ops.weights import WeightsRef

HERE = Worker(torch.device("cpu"))
TINY: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [8, 8],
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
DDPM = OneShotDdpm(
    weights=WeightsRef(untrained=0),
    unet=TINY,
    schedule=Schedule(kind="cosine", num_timesteps=1000),
    prediction="epsilon",
)


def drawn(num: int = 6) -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((num, 1, 8, 8), dtype=np.float32))
    label = torch.from_numpy(rng.integers(0, 3, num))
    return Minibatch(image, label, seed=0, step=0)


def learner() -> Learner:
    network = initialise(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), 0)
    return Learner(predict=network, module=network, bare=network)


def test_without_a_purifier_it_is_gaussian_training() -> None:
    batch, one = drawn(), learner()

    loss = DenoisedObjective(sigma=0.5, purifier=Nothing()).open(HERE)(one, batch)

    assert torch.equal(loss, GaussianObjective(sigma_train=0.5).loss(one, batch))


@pytest.mark.parametrize("sigma_local", [0.0, 0.25])
def test_the_classifier_learns_purified_images_under_local_noise(
    sigma_local: float,
) -> None:
    batch, one = drawn(), learner()
    denoised = DenoisedObjective(sigma=0.5, purifier=DDPM, sigma_local=sigma_local)

    loss = denoised.open(HERE)(one, batch)

    noisy = batch.image + 0.5 * batch.gaussian("noise")
    purified = DDPM.open(HERE, 0.5)(noisy)
    assert (purified - noisy).abs().mean() > 0.05
    local = sigma_local * batch.gaussian("local")
    expected = gaussian_loss(one, purified, batch.label, local).mean()
    torch.testing.assert_close(loss, expected)


def test_local_noise_is_independent_of_the_certified_noise() -> None:
    batch = drawn()

    both = torch.stack([batch.gaussian("noise"), batch.gaussian("local")])

    correlation = torch.corrcoef(both.flatten(1))[0, 1]
    slack = 4 / both[0].numel() ** 0.5  # four standard errors
    assert abs(correlation.item()) < slack


def test_no_gradient_reaches_the_purifier() -> None:
    purifying = nn.Conv2d(1, 1, 3, padding=1)

    purified = purified_image(lambda noisy, draw: purifying(noisy), drawn(), 0.5)

    assert not purified.requires_grad


def test_the_weights_file_says_which_noise_the_classifier_met() -> None:
    denoised = DenoisedObjective(sigma=0.5, purifier=Nothing(), sigma_local=0.25)

    assert denoised.said() == {
        "objective": "denoised",
        "sigma_train": 0.25,
        "purified_sigma": 0.5,
    }
