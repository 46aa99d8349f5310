import math
from typing import Any

import numpy as np
import pytest
import torch

from ops.losses.consistency import ConsistencyObjective, entropy, inconsistency
from ops.losses.copies import mean_cross_entropy
from ops.losses.gaussian import GaussianObjective
from ops.losses.minibatch import Minibatch


def drawn(num: int = 8) -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((num, 1, 4, 4), dtype=np.float32))
    label = torch.from_numpy(rng.integers(0, 3, num))
    return Minibatch(image, label, seed=0, step=0)


def linear(image: torch.Tensor) -> torch.Tensor:
    weight = torch.from_numpy(np.random.default_rng(1).normal(size=(16, 3))).float()
    return image.flatten(1) @ weight


def scores_of(num_copies: int) -> torch.Tensor:
    scores = np.random.default_rng(2).normal(size=(num_copies, 5, 4))
    return torch.from_numpy(2 * scores).float()


def consistency(**fields: Any) -> ConsistencyObjective:
    return ConsistencyObjective(sigma_train=0.25, **fields)


@pytest.mark.parametrize("num_copies", [2, 5])
def test_copies_that_agree_diverge_by_nothing_and_have_no_gradient(
    num_copies: int,
) -> None:
    scores = scores_of(1).repeat(num_copies, 1, 1).requires_grad_()

    loss = inconsistency(scores)
    loss.sum().backward()

    torch.testing.assert_close(loss, torch.zeros(5), atol=1e-6, rtol=0)
    nothing = torch.zeros_like(scores)
    torch.testing.assert_close(scores.grad, nothing, atol=1e-6, rtol=0)


def test_two_copies_diverge_as_their_closed_form_says() -> None:
    scores = scores_of(2).requires_grad_()

    loss = inconsistency(scores)

    first, second = scores.double().softmax(dim=2)
    mean = (first + second) / 2
    closed = -0.5 * (mean * torch.log(first * second / mean**2)).sum(dim=1)
    assert (closed > 0.01).all()
    torch.testing.assert_close(loss.double(), closed, atol=1e-6, rtol=1e-5)
    slopes = [torch.autograd.grad(one.sum(), scores)[0] for one in (loss, closed)]
    torch.testing.assert_close(*slopes, atol=1e-6, rtol=1e-5)


def test_copies_that_are_sure_of_different_classes_cost_a_finite_number() -> None:
    scores = torch.tensor([[[400.0, 0.0]], [[0.0, 400.0]]]).requires_grad_()

    loss = inconsistency(scores)
    loss.sum().backward()

    assert loss.tolist() == pytest.approx([200.0 - math.log(2)])
    assert scores.grad.isfinite().all()


def test_the_entropy_is_none_of_a_sure_guess_and_full_of_no_guess() -> None:
    sure, none = torch.tensor([[[500.0, 0.0, 0.0]]]), torch.zeros(2, 1, 3)

    assert entropy(sure).tolist() == [0.0]
    assert entropy(none).tolist() == pytest.approx([math.log(3)])


def test_the_entropy_is_that_of_the_mean_of_the_probabilities() -> None:
    scores = scores_of(3)
    mean = scores.softmax(dim=2).mean(dim=0)

    expected = torch.special.entr(mean).sum(dim=1)
    torch.testing.assert_close(entropy(scores), expected)


def test_the_loss_is_the_sum_of_its_weighted_parts() -> None:
    batch = drawn()
    whole = consistency(num_noise=3, consistency_weight=20.0, entropy_weight=0.5)

    loss = whole.loss(linear, batch)

    noises = batch.noises(3, 0.25)
    scores = torch.stack([linear(batch.image + noise) for noise in noises])
    parts = mean_cross_entropy(scores, batch.label)
    parts = parts + 20.0 * inconsistency(scores) + 0.5 * entropy(scores)
    torch.testing.assert_close(loss, parts.mean())


def test_without_weights_it_is_gaussian_training_on_every_copy() -> None:
    batch = drawn()
    learned = []

    def spy(noisy: torch.Tensor) -> torch.Tensor:
        learned.append(noisy)
        return linear(noisy)

    loss = consistency(consistency_weight=0, entropy_weight=0).loss(spy, batch)

    noises = batch.noises(2, 0.25)
    assert torch.equal(
        torch.cat(learned), torch.cat([batch.image + noise for noise in noises])
    )
    scores = torch.stack([linear(batch.image + noise) for noise in noises])
    torch.testing.assert_close(loss, mean_cross_entropy(scores, batch.label).mean())
    (first, _) = noises
    assert torch.equal(first, 0.25 * batch.gaussian("noise"))
    assert loss != GaussianObjective(sigma_train=0.25).loss(linear, batch)


def test_all_parts_count_by_the_weight_of_their_image() -> None:
    batch = drawn()
    none = Minibatch(batch.image, batch.label, seed=0, step=0, weight=torch.zeros(8))

    assert consistency(consistency_weight=20.0).loss(linear, none).item() == 0.0


def test_a_single_copy_is_refused() -> None:
    with pytest.raises(ValueError, match="num_noise"):
        consistency(consistency_weight=10.0, num_noise=1)
