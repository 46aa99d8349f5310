from pathlib import Path

import pytest
import torch
from torch import nn
from trainings_made import training_of

from ops.weights import Weights
from pipelines.train_state import begin_with, open_training

CPU = torch.device("cpu")


def test_first_weights_follow_from_the_seed_and_the_average_begins_with_them() -> None:
    first, again, other = (open_training(training_of(seed=s), CPU) for s in (0, 0, 1))

    for name, tensor in first.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])
        assert torch.equal(tensor, first.average.state_dict()[name])
    assert not torch.equal(
        first.network.state_dict()["0.weight"], other.network.state_dict()["0.weight"]
    )


def test_a_state_survives_its_file(tmp_path: Path) -> None:
    training, other = (open_training(training_of(seed=s), CPU) for s in (0, 1))
    training.network(torch.ones(1, 1, 8, 8)).sum().backward()
    training.optimiser.step()
    training.step, training.curve, training.unread = (
        7,
        [{"step": 5, "loss": 2.0}],
        [0.5],
    )
    torch.save(training.state("name"), tmp_path / "state.pt")

    other.restore(torch.load(tmp_path / "state.pt", weights_only=True))

    assert (other.step, other.curve, other.unread) == (
        7,
        [{"step": 5, "loss": 2.0}],
        [0.5],
    )
    for name, tensor in training.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name])
    moments = training.optimiser.state_dict()["state"]
    for index, moment in other.optimiser.state_dict()["state"].items():
        assert torch.equal(moment["exp_avg"], moments[index]["exp_avg"])


def net(num_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, num_classes))


def test_a_head_of_other_classes_stays_random_and_the_rest_is_read() -> None:
    network, before = net(2), net(5)
    head = network.state_dict()["2.weight"].clone()

    begin_with(network, Weights("file", before.state_dict()), ("2.",))

    assert torch.equal(network.state_dict()["2.weight"], head)
    assert torch.equal(
        network.state_dict()["0.weight"], before.state_dict()["0.weight"]
    )


def test_a_head_of_other_classes_that_is_not_skipped_is_refused() -> None:
    with pytest.raises(ValueError, match=r"file has '2.weight' of shape \(5, 3\)"):
        begin_with(net(2), Weights("file", net(5).state_dict()), ())


def test_skipping_what_the_network_has_not_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"'fc.' begins none. They begin with: 0, 1, 2"
    ):
        begin_with(net(2), Weights("file", net(5).state_dict()), ("fc.",))
