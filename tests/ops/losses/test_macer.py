from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch.nn.functional import cross_entropy

from ops.losses.gaussian import GaussianObjective
from ops.losses.macer import MacerObjective, gap_hinge
from ops.losses.minibatch import Minibatch

SIGMA, MARGIN = 0.5, 8.0


def drawn(num: int = 8, *, step: int = 0) -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((num, 1, 4, 4), dtype=np.float32))
    label = torch.from_numpy(rng.integers(0, 3, num))
    return Minibatch(image, label, seed=0, step=step)


def linear(image: torch.Tensor) -> torch.Tensor:
    weight = torch.from_numpy(np.random.default_rng(1).normal(size=(16, 3))).float()
    return image.flatten(1) @ weight


def copies(num: int, scores: list[float]) -> torch.Tensor:
    return torch.tensor(scores).expand(num, 1, len(scores)).clone()


def macer(**fields: Any) -> MacerObjective:
    return MacerObjective(sigma_train=SIGMA, margin=MARGIN, **fields)


def test_what_is_lacking_is_half_sigma_times_the_margin_less_the_radius() -> None:
    scores = torch.tensor([[[0.05, 0.0, -0.1]], [[0.02, 0.06, 0.1]]])

    hinge = macer().radius_hinge(scores, torch.tensor([0]))

    first, second = np.sort((16 * scores[:, 0]).softmax(1).mean(0).numpy())[:0:-1]
    assert (16 * scores[:, 0]).softmax(1).mean(0).argmax() == 0
    radius = SIGMA / 2 * (norm.ppf(first) - norm.ppf(second))
    assert hinge.tolist() == pytest.approx([SIGMA * MARGIN / 2 - radius], rel=1e-5)


def test_the_loss_is_the_cross_entropy_and_the_weighted_hinge() -> None:
    batch, weight = drawn(), 3.0
    whole = macer(num_noise=4, inverse_temperature=2.0, radius_weight=weight)

    loss = whole.loss(linear, batch)

    copies = torch.stack([linear(batch.image + one) for one in batch.noises(4, SIGMA)])
    chosen = copies.softmax(2).mean(0)[torch.arange(8), batch.label]
    hinge = whole.radius_hinge(copies, batch.label)
    assert 0 < (hinge > 0).sum() < 8
    torch.testing.assert_close(loss, (-chosen.log() + weight * hinge).mean())


def test_one_copy_without_a_hinge_is_gaussian_training() -> None:
    batch = drawn()

    loss = macer(num_noise=1, radius_weight=0.0).loss(linear, batch)

    expected = GaussianObjective(sigma_train=SIGMA).loss(linear, batch)
    torch.testing.assert_close(loss, expected)


def test_a_wrong_guess_has_no_hinge_and_no_gradient() -> None:
    scores = copies(4, [0.0, 0.3, -0.2]).requires_grad_()

    hinge = macer().radius_hinge(scores, torch.tensor([0]))
    hinge.sum().backward()

    assert hinge.tolist() == [0.0]
    assert torch.equal(scores.grad, torch.zeros_like(scores))


@pytest.mark.parametrize("score", [1.0, 5.0, 1e4])
def test_a_certain_guess_has_no_hinge_and_a_gradient_of_zero(score: float) -> None:
    scores = copies(4, [score, 0.0, -0.2]).requires_grad_()

    hinge = macer().radius_hinge(scores, torch.tensor([0]))
    hinge.sum().backward()

    assert hinge.tolist() == [0.0]
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_a_probability_that_rounds_to_one_leaves_other_images_their_gradient() -> None:
    probability = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.3, 0.1]], requires_grad=True)

    gap_hinge(probability, torch.tensor([0, 0]), MARGIN).sum().backward()

    steep = [1 / norm.pdf(norm.ppf(share)) for share in (0.6, 0.3)]
    assert probability.grad[0].tolist() == [0.0, 0.0, 0.0]
    expected = [-steep[0], steep[1], 0.0]
    assert probability.grad[1].tolist() == pytest.approx(expected, rel=1e-5)


def test_the_hinge_falls_as_the_guess_gets_surer() -> None:
    scores = copies(4, [0.05, 0.0, -0.2]).requires_grad_()

    macer().radius_hinge(scores, torch.tensor([0])).sum().backward()

    assert (scores.grad[..., 0] < 0).all()
    assert (scores.grad[..., 1] > 0).all()


def test_a_gap_beyond_the_margin_has_no_hinge() -> None:
    probability, label = torch.tensor([[0.9, 0.1]]), torch.tensor([0])
    gap = norm.ppf(0.9) - norm.ppf(0.1)

    wider = gap_hinge(probability, label, gap + 0.1)

    assert wider.tolist() == pytest.approx([0.1], rel=1e-4)
    assert gap_hinge(probability, label, gap - 0.1).tolist() == [0.0]


def test_the_hinge_waits_for_its_step() -> None:
    deferred = macer(num_noise=2, deferred_steps=5)
    never, always = macer(num_noise=2, radius_weight=0.0), macer(num_noise=2)

    before, after = drawn(step=4), drawn(step=5)
    assert torch.equal(deferred.loss(linear, before), never.loss(linear, before))
    assert torch.equal(deferred.loss(linear, after), always.loss(linear, after))
    assert always.loss(linear, before) > never.loss(linear, before)


def test_the_hinge_counts_by_the_weight_of_its_image() -> None:
    batch = drawn()
    none = Minibatch(batch.image, batch.label, seed=0, step=0, weight=torch.zeros(8))

    assert macer().loss(linear, none).item() == 0.0


def test_many_copies_cost_less_than_the_mean_of_their_costs() -> None:
    batch = drawn()  # Jensen: the log is of the mean probability
    noises = batch.noises(16, SIGMA)

    loss = macer(radius_weight=0.0).loss(linear, batch)

    each = [cross_entropy(linear(batch.image + one), batch.label) for one in noises]
    assert loss < torch.stack(each).mean()
