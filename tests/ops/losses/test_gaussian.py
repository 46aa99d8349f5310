import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ops.losses.gaussian import GaussianObjective, gaussian_loss
from ops.losses.minibatch import Minibatch


def drawn(num: int = 32, classes: int = 3) -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((num, 1, 4, 4), dtype=np.float32))
    label = torch.from_numpy(rng.integers(0, classes, num))
    return Minibatch(image, label, seed=0, step=0)


def linear(image: torch.Tensor) -> torch.Tensor:
    weight = torch.from_numpy(np.random.default_rng(1).normal(size=(16, 3))).float()
    return image.flatten(1) @ weight


def test_without_noise_it_is_the_cross_entropy_of_clean_images() -> None:
    batch = drawn()

    loss = GaussianObjective(sigma_train=0.0).loss(linear, batch)

    each = cross_entropy(linear(batch.image), batch.label, reduction="none")
    assert torch.equal(loss, each.mean())


def test_scores_that_know_nothing_cost_the_log_of_the_classes() -> None:
    batch = drawn()

    loss = gaussian_loss(
        lambda image: torch.zeros(len(image), 3), batch.image, batch.label, batch.image
    )

    assert loss.tolist() == pytest.approx([math.log(3)] * len(loss))


def test_the_network_sees_noise_of_the_std_asked_for_and_unclipped() -> None:
    batch = drawn(2000)
    seen = []

    def spy(image: torch.Tensor) -> torch.Tensor:
        seen.append(image)
        return torch.zeros(len(image), 3)

    GaussianObjective(sigma_train=0.5).loss(spy, batch)

    noise = seen[0] - batch.image
    slack = 4 * 0.5 / math.sqrt(2 * noise.numel())  # four standard errors of a std
    assert abs(noise.std().item() - 0.5) < slack
    assert seen[0].min() < 0.0 < 1.0 < seen[0].max()


def test_negative_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="sigma_train"):
        GaussianObjective(sigma_train=-0.1)
