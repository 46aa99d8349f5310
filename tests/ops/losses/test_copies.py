import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ops.losses.copies import (
    divergence,
    log_mean_probability,
    mean_cross_entropy,
    misclassified,
    scores_of_copies,
    smoothed_cross_entropy,
)

LABEL = torch.tensor([0, 2, 1, 1, 0])


def drawn(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=shape)).float()


def test_every_image_is_scored_under_every_noise_in_one_call() -> None:
    image, noises = drawn(5, 1, 2, 2), [drawn(5, 1, 2, 2), -drawn(5, 1, 2, 2)]
    calls = []

    def network(noisy: torch.Tensor) -> torch.Tensor:
        calls.append(len(noisy))
        return noisy.flatten(1)

    scores = scores_of_copies(network, image, noises)

    assert calls == [10]
    expected = torch.stack([(image + noise).flatten(1) for noise in noises])
    assert torch.equal(scores, expected)


def test_scores_of_a_half_precision_network_are_float32() -> None:
    image = drawn(5, 1, 2, 2)

    scores = scores_of_copies(lambda noisy: noisy.flatten(1).bfloat16(), image, [image])

    assert scores.dtype == torch.float32


def test_the_mean_cross_entropy_is_that_of_the_copies() -> None:
    scores = drawn(4, 5, 3)

    mean = mean_cross_entropy(scores, LABEL)

    each = [cross_entropy(one, LABEL, reduction="none") for one in scores]
    torch.testing.assert_close(mean, torch.stack(each).mean(dim=0))


def test_probabilities_are_averaged_and_not_their_logs() -> None:
    scores = drawn(4, 5, 3)
    mean = scores.softmax(dim=2).mean(dim=0)

    torch.testing.assert_close(log_mean_probability(scores).exp(), mean)
    expected = -mean[torch.arange(5), LABEL].log()
    torch.testing.assert_close(smoothed_cross_entropy(scores, LABEL), expected)


def test_copies_that_are_surely_wrong_cost_a_finite_number() -> None:
    scores = torch.tensor([[[0.0, 500.0]], [[0.0, 300.0]]])

    loss = smoothed_cross_entropy(scores, torch.tensor([0]))

    assert loss.tolist() == pytest.approx([300.0 + np.log(2)])


def test_the_divergence_is_zero_from_the_same_and_positive_from_others() -> None:
    scores, other = drawn(2, 5, 3), drawn(1, 5, 3).flip(1)
    same = scores[:1].expand(2, 5, 3)

    zero = divergence(scores[0].log_softmax(dim=1), same)

    torch.testing.assert_close(zero, torch.zeros(5), atol=1e-6, rtol=0)
    assert (divergence(other[0].log_softmax(dim=1), scores) > 0.01).all()


def test_an_image_is_misclassified_by_the_mean_of_its_probabilities() -> None:
    # The first copy is sure of class 1, the two others lean to class 0.
    copies = torch.tensor([[0.0, 9.0], [0.3, 0.0], [0.3, 0.0]])
    noises = [torch.full((1, 1, 1, 1), float(index)) for index in range(3)]

    def network(noisy: torch.Tensor) -> torch.Tensor:
        return copies[noisy.flatten().long()]

    goal = misclassified(network, torch.tensor([0]), noises)
    value, reached = goal(torch.zeros(1, 1, 1, 1))

    mean = copies.softmax(dim=1).mean(dim=0)
    assert reached.tolist() == [True]
    assert value.tolist() == pytest.approx([-mean[0].log().item()])
