from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ops.attack.ddn import Ddn
from ops.attack.pgd_l2 import PgdL2
from ops.columns import Worker
from ops.initialise import initialise
from ops.losses.consistency import ConsistencyObjective
from ops.losses.denoised import DenoisedObjective
from ops.losses.gaussian import GaussianObjective
from ops.losses.learner import Learner
from ops.losses.macer import MacerObjective
from ops.losses.minibatch import Minibatch
from ops.losses.smoothadv import SmoothAdvObjective
from ops.losses.smoothmix import SmoothMixObjective
from ops.purify.nothing import Nothing

SIGMA = 0.12
OBJECTIVES = {
    "gaussian": GaussianObjective(sigma_train=SIGMA),
    "smoothadv_pgd": SmoothAdvObjective(
        sigma_train=SIGMA,
        attack=PgdL2(steps=2),
        attack_radius=0.25,
        num_noise=2,
        train_on_all=True,
        warmup_steps=20,
    ),
    "smoothadv_ddn": SmoothAdvObjective(
        sigma_train=SIGMA, attack=Ddn(steps=3), attack_radius=0.25, num_noise=2
    ),
    "macer": MacerObjective(sigma_train=SIGMA, num_noise=4, deferred_steps=20),
    "consistency": ConsistencyObjective(sigma_train=SIGMA, consistency_weight=10.0),
    "smoothmix": SmoothMixObjective(
        sigma_train=SIGMA, attack_steps=2, step_length=0.2, one_step_adversary=True
    ),
    "denoised": DenoisedObjective(sigma=SIGMA, purifier=Nothing(), sigma_local=SIGMA),
}
HERE = Worker(torch.device("cpu"))


def batch_at(step: int) -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((16, 1, 8, 8), dtype=np.float32))
    label = torch.from_numpy(rng.permutation(16) % 4)
    weight = torch.from_numpy(rng.uniform(0.5, 1.5, 16).astype(np.float32))
    return Minibatch(image, label, seed=0, step=step, weight=weight)


def small_learner() -> Learner:
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 4)
    )
    initialise(network, 0)
    return Learner(predict=network, module=network, bare=network)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_small_network_learns_a_few_images_by_heart(name: str) -> None:
    learner, loss = small_learner(), OBJECTIVES[name].open(HERE)
    optimiser = torch.optim.AdamW(learner.module.parameters(), lr=3e-3)

    for step in range(150):
        optimiser.zero_grad()
        loss(learner, batch_at(step)).backward()
        optimiser.step()

    batch = batch_at(0)
    assert torch.equal(learner(batch.image).argmax(dim=1), batch.label)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_parts_of_a_batch_add_up_to_the_batch(name: str) -> None:
    learner, loss = small_learner(), OBJECTIVES[name].open(HERE)
    batch = batch_at(30)

    whole = loss(learner, batch).item()

    parts = [loss(learner, part).item() for part in batch.parts(2)]
    assert sum(parts) / 2 == pytest.approx(whole, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_that_runs_again_has_the_same_loss(name: str) -> None:
    losses: list[Any] = [
        OBJECTIVES[name].open(HERE)(small_learner(), batch_at(3)) for _ in range(2)
    ]

    assert torch.equal(*losses)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_weights_file_says_what_the_classifier_was_trained_for(name: str) -> None:
    objective = OBJECTIVES[name]

    said = objective.said()

    assert objective.trains == "classifier"
    assert said["objective"] == objective.kind
    assert said["sigma_train"] == SIGMA
