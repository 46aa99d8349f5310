"""What a U-Net learns through a frozen classifier, and from what it learns it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from calibration_made import CLASSIFIER, COSINE, objective, twelve_images
from sklearn.datasets import load_digits
from torch import nn

from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.initialise import initialise
from ops.losses.minibatch import Minibatch
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.unet import build_unet
from ops.schedules import timestep_of
from ops.weights import Weights, WeightsRef

WORKER = Worker(torch.device("cpu"))
UNET: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [8, 8],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "norm_num_groups": 8,
    "add_attention": False,
}


@pytest.fixture
def batch() -> Minibatch:
    return twelve_images()


def test_the_gradient_reaches_every_weight_of_the_denoiser_and_no_other(
    batch: Minibatch,
) -> None:
    network = initialise(build_unet(UNET), 0)
    seen: list[nn.Module] = []

    class Watched(DigitsCnn):
        def network(self) -> nn.Module:
            seen.append(super().network())
            return seen[0]

    watched = Watched(weights=WeightsRef(untrained=0))
    through, past = (
        objective(brier_weight=weight, classifier=CLASSIFIER)
        .model_copy(update={"classifier": watched})
        .open(WORKER)
        for weight in (1.0, 0.0)
    )

    def gradients(loss: Any) -> dict[str, torch.Tensor]:
        network.zero_grad()
        loss(lambda z, t: network(z, t, return_dict=False)[0], batch).backward()
        return {n: w.grad.clone() for n, w in network.named_parameters()}

    with_score, without = gradients(through), gradients(past)

    # The score has a gradient of its own, through the classifier, which has none.
    assert any(not torch.allclose(with_score[n], without[n]) for n in without)
    assert all(gradient.abs().max() > 0 for gradient in with_score.values())
    assert all(weight.grad is None for weight in seen[0].parameters())


@torch.no_grad()
def test_the_classifier_meets_what_the_purifier_gives_it(batch: Minibatch) -> None:
    sigma = 0.5
    told = objective(sigma=(sigma,))
    network = initialise(build_unet(UNET), 0).eval()
    timestep = timestep_of(COSINE, sigma, "first_from_zero")
    steps = torch.full((len(batch.image),), timestep)
    alpha_bar = torch.from_numpy(COSINE.alpha_bar()[[timestep]]).float()

    def called(noised: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return network(noised, time, return_dict=False)[0]

    kept = alpha_bar.expand(len(steps))
    _, denoised = told.denoised(called, batch, steps, kept)

    config = {"unet": UNET, "scheduler": told.scheduler()}
    weights = Weights("test", network.state_dict(), config)
    worker = Worker(WORKER.device, load=lambda reference: weights)
    purify = OneShotDdpm(weights=WeightsRef(path="test")).open(worker, sigma)
    level = ((1 - alpha_bar) / alpha_bar).sqrt() / 2  # of the timestep, on [0, 1]
    noisy = batch.image + level * batch.gaussian("noise")
    torch.testing.assert_close(denoised, purify(noisy), rtol=1e-4, atol=1e-5)


def test_it_learns_to_have_a_class_found_on_four_images() -> None:
    digits = load_digits()
    image = torch.from_numpy(digits.images[:4]).float()[:, None].repeat(4, 1, 1, 1) / 16
    label = torch.from_numpy(digits.target[:4]).long().repeat(4)
    batch = Minibatch(image, label, seed=0, step=0)
    layers = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 64))
    network = initialise(layers, 0)
    told = objective(sigma=(0.25, 0.5), num_copies=2, prediction="x0", clip=False)
    both = told.open(WORKER)
    plain = told.model_copy(update={"brier_weight": 0.0}).open(WORKER)

    def called(noised: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return network(noised.flatten(1)).view_as(noised)

    @torch.no_grad()
    def costs() -> tuple[float, float]:
        held = replace(batch, step=1000)  # noise that is not trained on
        error = plain(called, held).item()
        return error, both(called, held).item() - error

    (error, brier), optimiser = costs(), torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(120):
        optimiser.zero_grad()
        both(called, replace(batch, step=step)).backward()
        optimiser.step()

    learned_error, learned_brier = costs()
    assert learned_brier < brier / 4
    assert learned_error < error / 4
