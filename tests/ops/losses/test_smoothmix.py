from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ops.attack.ascent import norm_of
from ops.initialise import initialise
from ops.losses.consistency import inconsistency
from ops.losses.copies import log_mean_probability, mean_cross_entropy, misclassified
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.losses.smoothmix import SmoothMixObjective, climbed, log_softened, mix_loss

SIGMA = 0.25


def drawn(num: int = 8, *, step: int = 0) -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((num, 1, 6, 6), dtype=np.float32))
    label = torch.from_numpy(rng.integers(0, 3, num))
    return Minibatch(image, label, seed=0, step=step)


def network() -> nn.Module:
    layers = nn.Conv2d(1, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(128, 3)
    return initialise(nn.Sequential(*layers), 0)


def learner() -> Learner:
    learning = network()
    return Learner(predict=learning, module=learning, bare=learning)


def scores_of(num_copies: int, seed: int = 2) -> torch.Tensor:
    scores = np.random.default_rng(seed).normal(size=(num_copies, 5, 4))
    return torch.from_numpy(2 * scores).float()


def guessed(scores: torch.Tensor) -> torch.Tensor:
    return log_mean_probability(scores).argmax(dim=1)


def smoothmix(**fields: Any) -> SmoothMixObjective:
    return SmoothMixObjective(sigma_train=SIGMA, step_length=0.3, **fields)


def test_a_softened_guess_sums_to_one_with_a_uniform_share() -> None:
    scores, share = scores_of(3), torch.tensor([0.0, 0.1, 0.25, 0.4, 0.5])

    softened = log_softened(scores, share).exp()

    torch.testing.assert_close(softened.sum(dim=1), torch.ones(5))
    mean = scores.softmax(dim=2).mean(dim=0)
    mixed = (1 - share[:, None]) * mean + share[:, None] / 4
    torch.testing.assert_close(softened, mixed)


def test_unmixed_images_diverge_from_their_own_mean_alone() -> None:
    scores, share = scores_of(2), torch.zeros(5)

    loss = mix_loss(scores, scores, share, guessed(scores))

    torch.testing.assert_close(loss, inconsistency(scores))
    (one, _) = scores.split(1)
    alone = mix_loss(one, one, share, guessed(one))
    torch.testing.assert_close(alone, torch.zeros(5), atol=1e-6, rtol=0)


def test_only_images_guessed_right_are_mixed() -> None:
    near, mixed = scores_of(2).requires_grad_(), scores_of(2, seed=3).requires_grad_()
    label = guessed(near).clone()
    label[2] = (label[2] + 1) % 4

    loss = mix_loss(near, mixed, torch.full((5,), 0.3), label)
    loss.sum().backward()

    assert (loss > 0).tolist() == [True, True, False, True, True]
    for scores in (near, mixed):
        moved = scores.grad.abs().sum(dim=(0, 2))
        assert (moved > 0).tolist() == [True, True, False, True, True]


def test_a_sure_guess_that_is_not_mixed_has_a_finite_gradient() -> None:
    near = torch.tensor([[[500.0, 0.0, -500.0]]]).requires_grad_()

    mix_loss(near, near, torch.zeros(1), torch.tensor([0])).sum().backward()

    assert near.grad.isfinite().all()


def test_the_loss_is_that_of_images_mixed_by_half_a_uniform_share() -> None:
    batch, whole, one = drawn(), smoothmix(mix_weight=5.0), learner()
    noises = batch.noises(2, SIGMA)

    loss = whole.loss(one, batch)

    near, far = whole.ends(one, batch, noises)
    share = batch.uniform("mix") / 2
    assert share.max() < 0.5
    beside = share.view(-1, 1, 1, 1)
    mixed = (1 - beside) * near + beside * far
    of_near, of_mixed = (
        torch.stack([one(side + noise) for noise in noises]) for side in (near, mixed)
    )
    softened = mix_loss(of_near, of_mixed, share, batch.label)
    assert softened.max() > 0.01
    losses = mean_cross_entropy(of_near, batch.label) + 5.0 * softened
    torch.testing.assert_close(loss, losses.mean())


def test_without_a_weight_it_is_gaussian_training_on_every_copy() -> None:
    batch, one = drawn(), learner()

    loss = smoothmix(mix_weight=0.0, num_noise=3).loss(one, batch)

    scores = [one(batch.image + noise) for noise in batch.noises(3, SIGMA)]
    expected = mean_cross_entropy(torch.stack(scores), batch.label).mean()
    torch.testing.assert_close(loss, expected)


def test_the_attack_takes_steps_of_its_length_and_knows_no_ball() -> None:
    grey, label = torch.full((2, 1, 6, 6), 0.5), torch.tensor([0, 1])
    flat = initialise(nn.Sequential(nn.Flatten(), nn.Linear(36, 2)), 0)
    goal = misclassified(flat, label, [torch.zeros_like(grey)])

    path = climbed(goal, grey, 4, 0.1)

    assert len(path) == 5
    far = [norm_of(place - grey).tolist() for place in path]
    rising = [[0.1 * step] * 2 for step in range(5)]
    np.testing.assert_allclose(far, rising, rtol=1e-4, atol=1e-7)


def test_attacked_images_stay_pixels_and_get_harder() -> None:
    batch, one = drawn(), learner()
    noises = batch.noises(2, SIGMA)

    near, far = smoothmix(attack_steps=8).ends(one, batch, noises)

    assert near is batch.image
    assert far.min() >= 0.0
    assert far.max() <= 1.0
    goal = misclassified(one, batch.label, noises)
    assert (goal(far)[0] > goal(near)[0]).all()


def test_a_one_step_adversary_stands_for_the_clean_image() -> None:
    one, kind = learner(), smoothmix(one_step_adversary=True, warmup_steps=3)
    plain = smoothmix()

    for step, longest in ((0, 0.1), (2, 0.3), (7, 0.3)):
        batch = drawn(step=step)
        noises = batch.noises(2, SIGMA)
        near, far = kind.ends(one, batch, noises)
        moved = norm_of(near - batch.image)
        assert moved.max() <= longest * (1 + 1e-5)
        assert moved.max() > 0.9 * longest
        assert torch.equal(far, plain.ends(one, batch, noises)[1])


def test_a_one_step_adversary_of_a_one_step_attack_is_refused() -> None:
    with pytest.raises(ValueError, match="attack_steps is 1"):
        smoothmix(one_step_adversary=True, attack_steps=1)


def test_the_mixed_part_rises_over_the_warm_up() -> None:
    one, start, end = learner(), drawn(step=0), drawn(step=3)
    rising, full = smoothmix(warmup_steps=4), smoothmix()
    none = smoothmix(mix_weight=0.0)

    base = none.loss(one, start)
    quarter = (rising.loss(one, start) - base) / (full.loss(one, start) - base)

    assert quarter.item() == pytest.approx(0.25, rel=1e-3)
    torch.testing.assert_close(rising.loss(one, end), full.loss(one, end))


def test_the_mixed_part_counts_by_the_weight_of_its_image() -> None:
    batch = drawn()
    none = Minibatch(batch.image, batch.label, seed=0, step=0, weight=torch.zeros(8))

    assert smoothmix().loss(learner(), none).item() == 0.0


def test_the_network_that_workers_share_is_called_once_a_step() -> None:
    learning, batch, calls = network(), drawn(), []

    def wrapped(noisy: torch.Tensor) -> torch.Tensor:
        calls.append(len(noisy))
        return learning(noisy)

    shared = Learner(predict=wrapped, module=learning, bare=learning)
    smoothmix().loss(shared, batch)

    assert calls == [2 * 2 * 8]
