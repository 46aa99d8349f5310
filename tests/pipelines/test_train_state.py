from pathlib import Path

import pytest
import torch
from torch import nn
from trainings_made import UNET, training_of

from ops.columns import Worker
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.weights import Weights
from pipelines.train_state import Training, begin_with, open_training
from pipelines.train_step import Step

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


SLOW = {
    "network": {"kind": "unet", "settings": UNET},
    "objective": {
        "kind": "consistency_training",
        "model": {"num_levels": 12, "highest": 10.0},
        "metric": {"kind": "l2"},
        "growth": {
            "kind": "square_root",
            "first_levels": 4,
            "last_levels": 12,
            "steps_to_last": 5,
        },
        "target_decay": 0.9,
    },
}


def descend(training: Training, steps: range) -> dict[str, torch.Tensor]:
    """Take steps of a training with a slow copy; return what the copy became."""
    recipe = training_of(**SLOW)
    predict = recipe.network.predict(training.network, CPU)
    assert training.target is not None
    target = recipe.network.predict(training.target, CPU)
    learner = Learner(predict, training.network, predict, target=target)
    loss = recipe.objective.open(Worker(CPU))
    step = Step(recipe, loss, learner, training.network, keys=lambda _: [])
    for index in steps:
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(4, 1, 8, 8, generator=generator)
        label = torch.zeros(4, dtype=torch.int64)
        step(training, Minibatch(image, label, seed=0, step=index))
    return {n: t.clone() for n, t in training.target.state_dict().items()}


def test_a_slow_copy_goes_on_from_its_file_as_if_never_stopped(tmp_path: Path) -> None:
    training, other = (open_training(training_of(**SLOW, seed=s), CPU) for s in (0, 1))
    saved = descend(training, range(3))
    torch.save(training.state("name"), tmp_path / "state.pt")
    expected = descend(training, range(3, 5))

    other.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    found = descend(other, range(3, 5))

    network = training.network.state_dict()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    assert any(not torch.equal(expected[n], saved[n]) for n in saved)
    assert any(not torch.equal(expected[n], network[n]) for n in saved)


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
