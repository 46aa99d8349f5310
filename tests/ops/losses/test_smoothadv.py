from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ops.attack.ascent import norm_of
from ops.attack.ddn import Ddn
from ops.attack.pgd_l2 import PgdL2
from ops.initialise import initialise
from ops.losses.gaussian import GaussianObjective
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.losses.smoothadv import SmoothAdvObjective

PGD = {"kind": "pgd_l2", "steps": 4}
DDN = {"kind": "ddn", "steps": 4}


def drawn(num: int = 8, *, step: int = 0) -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((num, 1, 6, 6), dtype=np.float32))
    label = torch.from_numpy(rng.integers(0, 3, num))
    return Minibatch(image, label, seed=0, step=step)


def learner_of(network: nn.Module) -> Learner:
    return Learner(predict=network, module=network, bare=network)


def curved(*, norm: bool = False) -> nn.Module:
    between = nn.BatchNorm2d(8) if norm else nn.Identity()
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3), between, nn.Tanh(), nn.Flatten(), nn.Linear(128, 3)
    )
    return initialise(network, 0)


def objective(**fields: Any) -> SmoothAdvObjective:
    usual = {"sigma_train": 0.25, "attack": PGD, "attack_radius": 0.5}
    return SmoothAdvObjective(**{**usual, **fields})


@pytest.mark.parametrize("num_noise", [1, 3])
def test_a_linear_classifier_is_attacked_straight_across_its_plane(
    num_noise: int,
) -> None:
    batch = drawn()
    label = batch.label % 2
    grey = Minibatch(torch.full_like(batch.image, 0.5), label, seed=0, step=0)
    linear = initialise(nn.Sequential(nn.Flatten(), nn.Linear(36, 2)), 0)
    first, second = linear[1].weight.detach().view(2, 1, 6, 6)
    adv = objective(num_noise=num_noise)

    noises = grey.noises(num_noise, 0.25)
    shift = adv.attacked(learner_of(linear), grey, noises) - grey.image

    across = (second - first) / (second - first).norm()
    sign = torch.where(label == 0, 1.0, -1.0).view(-1, 1, 1, 1)
    torch.testing.assert_close(shift, 0.5 * sign * across, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("attack", [PGD, DDN])
@pytest.mark.parametrize("radius", [0.1, 1.5])
def test_attacked_images_stay_in_the_ball_and_the_pixels(
    attack: dict[str, Any], radius: float
) -> None:
    batch, adv = drawn(), objective(attack=attack, attack_radius=radius)

    attacked = adv.attacked(learner_of(curved()), batch, batch.noises(2, 0.25))

    rounding = 1e-6
    assert not torch.equal(attacked, batch.image)
    assert norm_of(attacked - batch.image).max() <= radius * (1 + rounding)
    assert attacked.min() >= -rounding
    assert attacked.max() <= 1 + rounding


@pytest.mark.parametrize("attack", [PGD, DDN])
def test_without_a_radius_it_is_gaussian_training(attack: dict[str, Any]) -> None:
    learner, batch = learner_of(curved()), drawn()

    loss = objective(attack=attack, attack_radius=0.0).loss(learner, batch)

    assert torch.equal(loss, GaussianObjective(sigma_train=0.25).loss(learner, batch))


def test_attacked_images_cost_more_than_gaussian_training() -> None:
    learner, batch = learner_of(curved()), drawn()

    loss = objective(attack_radius=1.0).loss(learner, batch)

    assert loss > 1.1 * GaussianObjective(sigma_train=0.25).loss(learner, batch)


def gradients(network: nn.Module) -> torch.Tensor:
    return torch.cat([weight.grad.flatten() for weight in network.parameters()])


@pytest.mark.parametrize("attack", [PGD, DDN])
def test_chunks_have_the_gradient_of_the_whole_batch(attack: dict[str, Any]) -> None:
    adv = objective(attack=attack, num_noise=4, train_on_all=True)
    whole, parted = curved(), curved()

    adv.loss(learner_of(whole), drawn()).backward()
    for part in drawn().parts(4):
        (adv.loss(learner_of(parted), part) / 4).backward()

    torch.testing.assert_close(gradients(parted), gradients(whole))


def test_an_attack_moves_no_batch_statistics_and_no_gradients() -> None:
    network, batch = curved(norm=True), drawn()
    before = {key: value.clone() for key, value in network.state_dict().items()}

    objective().attacked(learner_of(network), batch, batch.noises(1, 0.25))

    after = network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert all(weight.grad is None for weight in network.parameters())
    assert network.training


def test_an_attack_goes_past_the_wrapper_that_workers_share() -> None:
    network, batch, calls = curved(), drawn(), []

    def wrapped(noisy: torch.Tensor) -> torch.Tensor:
        calls.append(len(noisy))
        return network(noisy)

    shared = Learner(predict=wrapped, module=network, bare=network)
    objective(num_noise=2, train_on_all=True).loss(shared, batch)

    assert calls == [16]


def test_the_network_learns_in_training_mode_under_the_noise_of_the_attack() -> None:
    network, batch, seen = curved(), drawn(), []
    network.register_forward_pre_hook(
        lambda module, args: seen.append((module.training, args[0].detach()))
    )

    objective(num_noise=2, train_on_all=True).loss(learner_of(network), batch)
    attack, (training, learned) = [at for _, at in seen[:-1]], seen[-1]

    assert training
    assert not any(at_attack for at_attack, _ in seen[:-1])
    first, second = learned.split(len(batch.image))
    noises = batch.noises(2, 0.25)
    torch.testing.assert_close(first - noises[0], second - noises[1])
    assert torch.equal(attack[0], torch.cat([batch.image + one for one in noises]))


def test_images_are_learned_under_one_noise_or_under_all() -> None:
    network, sizes = curved(), []
    network.register_forward_hook(lambda module, args, out: sizes.append(len(out)))

    for train_on_all in (False, True):
        adv = objective(num_noise=3, train_on_all=train_on_all)
        adv.loss(learner_of(network), drawn(8))

    assert [sizes[4], sizes[9]] == [8, 24]


def test_the_radius_rises_over_the_warm_up() -> None:
    adv, learner = objective(warmup_steps=4, attack_radius=0.4), learner_of(curved())

    norms = []
    for step in (0, 1, 3, 9):
        batch = drawn(step=step)
        attacked = adv.attacked(learner, batch, batch.noises(1, 0.25))
        norms.append(norm_of(attacked - batch.image).max().item())

    assert norms == pytest.approx([0.1, 0.2, 0.4, 0.4], rel=1e-4)


def test_an_image_counts_by_its_weight() -> None:
    batch, learner = drawn(2), learner_of(curved())
    weight = torch.tensor([1.0, 0.0])
    one = Minibatch(batch.image, batch.label, seed=0, step=0, weight=weight)
    (alone, _) = batch.parts(2)

    loss = objective().loss(learner, one)

    torch.testing.assert_close(2 * loss, objective().loss(learner, alone))


def test_an_attack_of_another_kind_is_refused() -> None:
    assert objective(attack=DDN).attack == Ddn(steps=4)
    assert objective().attack == PgdL2(steps=4)
    with pytest.raises(ValidationError, match="attack"):
        objective(attack={"kind": "fgsm", "steps": 1})
