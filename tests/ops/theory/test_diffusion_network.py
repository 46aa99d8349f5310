from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ops.columns import Worker
from ops.pixels import to_signed, to_unit
from ops.purify.dncnn import Dncnn
from ops.purify.edm import Edm
from ops.purify.nothing import Nothing
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.pf_ode import PfOde
from ops.purify.purifying import RandomPurifier
from ops.purify.reverse_chain import ReverseChain
from ops.purify.scheduler_settings import ddpm_scheduler
from ops.schedules import Schedule
from ops.theory.diffusion_network import (
    is_diffusion_model,
    open_network,
    watched,
    without_diffusion_model,
)
from ops.theory.theorem1 import score_norm
from ops.weights import WeightsRef

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
COSINE = Schedule(kind="cosine", num_timesteps=1000)
UNTRAINED: dict[str, Any] = {"weights": WeightsRef(untrained=0), "unet": TINY}
ANY: dict[str, Any] = {**UNTRAINED, "scheduler": ddpm_scheduler(COSINE, "epsilon")}
WORKER = Worker(torch.device("cpu"), batch=4)
LEVELS: dict[str, Any] = {"num": 4, "lowest": 0.1, "highest": 3.0}

Draws = Callable[[str], torch.Tensor]


def noisy_copies() -> torch.Tensor:
    copies = np.random.default_rng(1).normal(0.5, 0.5, (4, 1, 8, 8))
    return torch.tensor(copies, dtype=torch.float32)


def draw(stream: str) -> torch.Tensor:
    seed = sum(stream.encode())
    return torch.tensor(
        np.random.default_rng(seed).standard_normal((4, 1, 8, 8)), dtype=torch.float32
    )


@torch.no_grad()
@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("rescale", [False, True])
def test_denoiser_of_a_one_shot_purifier_returns_what_the_purifier_does(
    prediction: str, rescale: bool
) -> None:
    purifier = OneShotDdpm.model_validate(
        {
            **UNTRAINED,
            "schedule": Schedule(kind="cosine", num_timesteps=400),
            "prediction": prediction,
            "rescale_timesteps": rescale,
            "clip": False,
        }
    )
    network = open_network(purifier, WORKER, 0.3)
    noisy = noisy_copies()

    ours = to_unit(network.denoiser(to_signed(noisy), network.level))
    theirs = purifier.open(WORKER, 0.3)(noisy)
    assert (theirs - noisy).std() > 0.05
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    # The level is that of the timestep, the first with as much noise as asked for.
    assert 0.6 <= network.level < 0.61
    assert network.alpha_bar == pytest.approx(1 / (1 + network.level**2))


@torch.no_grad()
def test_denoiser_of_other_diffusion_models_is_called_at_exactly_twice_sigma() -> None:
    purifier = Edm(**ANY, clip=False)
    network = open_network(purifier, WORKER, 0.3)
    noisy = noisy_copies()

    ours = to_unit(network.denoiser(to_signed(noisy), network.level))
    assert network.level == 0.6
    assert torch.equal(ours, purifier.open(WORKER, 0.3)(noisy))


@torch.no_grad()
@pytest.mark.parametrize(
    "purifier",
    [
        Edm(**ANY),
        PfOde.model_validate({**ANY, "levels": LEVELS}),
        ReverseChain(**ANY, steps=3, samples=2),
    ],
    ids=lambda one: one.kind,
)
def test_a_watched_purifier_does_the_same_and_tells_of_each_call(
    purifier: RandomPurifier,
) -> None:
    told: list[torch.Tensor] = []
    alike = watched(purifier, told.append)
    found = alike.open_with_noise(WORKER, 0.3)(noisy_copies(), draw)

    expected = purifier.open_with_noise(WORKER, 0.3)(noisy_copies(), draw)
    assert torch.equal(found, expected)
    assert len(told) == purifier.calls_at(0.3)
    assert alike.samples_per_copy == purifier.samples_per_copy


@torch.no_grad()
def test_a_watched_purifier_tells_the_scores_of_its_copies() -> None:
    told: list[torch.Tensor] = []
    purifier = Edm(**ANY, clip=False)
    noisy = noisy_copies()
    purified = watched(purifier, told.append).open_with_noise(WORKER, 0.3)(noisy, draw)

    expected = score_norm(to_signed(noisy), to_signed(purified), 0.6)
    torch.testing.assert_close(told[0], expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    "purifier",
    [Nothing(), Dncnn(weights=WeightsRef(untrained=0), depth=3, channels=1)],
    ids=lambda one: one.kind,
)
def test_a_purifier_without_a_diffusion_model_is_refused(
    purifier: RandomPurifier,
) -> None:
    assert not is_diffusion_model(purifier)
    assert watched(purifier, lambda _: None) is purifier
    with pytest.raises(ValueError, match="predicts noise") as refused:
        open_network(purifier, WORKER, 0.3)
    assert str(refused.value) == without_diffusion_model(purifier.kind)
    assert f"the purifier is {purifier.kind}. Take one_shot_ddpm" in str(refused.value)


def test_noise_beyond_the_network_is_refused() -> None:
    with pytest.raises(ValueError, match="sigma"):
        open_network(Edm(**ANY), WORKER, 1e6)
