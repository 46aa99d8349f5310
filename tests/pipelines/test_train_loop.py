import math

import pytest
import torch

from pipelines.train_loop import learning_rate_at, open_training
from pipelines.train_recipe import Optimiser, TrainRecipe

OPTIMISER = Optimiser(steps=1000, batch=4, learning_rate=0.1, warmup=9)


def test_learning_rate_rises_linearly_and_falls_along_half_a_cosine() -> None:
    assert learning_rate_at(0, OPTIMISER) == pytest.approx(0.1 / 10)
    assert learning_rate_at(500, OPTIMISER) == pytest.approx(0.05)
    quarter = 0.1 * (1 + math.sqrt(0.5)) / 2
    assert learning_rate_at(250, OPTIMISER) == pytest.approx(quarter)
    assert 0 < learning_rate_at(999, OPTIMISER) < 1e-6


def test_first_weights_follow_from_the_seed_and_the_average_begins_with_them() -> None:
    fields = {
        "network": {"kind": "digits_cnn"},
        "objective": {"kind": "gaussian", "sigma_train": 0.25},
        "optimiser": OPTIMISER,
    }
    first, again, other = (
        open_training(
            TrainRecipe.model_validate({**fields, "seed": seed}), torch.device("cpu")
        )
        for seed in (0, 0, 1)
    )

    for name, tensor in first.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])
        assert torch.equal(tensor, first.average.state_dict()[name])
    assert not torch.equal(
        first.network.state_dict()["0.weight"], other.network.state_dict()["0.weight"]
    )
