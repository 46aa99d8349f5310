from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from trainings_made import UNET, fields_of_training, training_of

from ops.columns import Worker
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from pipelines.train_recipe import TrainRecipe
from pipelines.train_state import Training, open_training
from pipelines.train_step import Diverged, Loss, Step

CPU = torch.device("cpu")


def batch(step: int = 0) -> Minibatch:
    image = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(step))
    return Minibatch(image, torch.arange(20) % 10, seed=0, step=step)


def recipe_with(precision: str = "float32", **optimiser: Any) -> TrainRecipe:
    fields = fields_of_training()["optimiser"] | optimiser
    return training_of(optimiser=fields, precision=precision)


def step_of(recipe: TrainRecipe, network: nn.Module, loss: Loss | None = None) -> Step:
    predict = recipe.network.predict(network, CPU)
    learner = Learner(predict, network, predict)
    return Step(
        recipe,
        loss or recipe.objective.open(Worker(CPU)),
        learner,
        network,
        keys=lambda step: [f"step_{step}_a", f"step_{step}_b"],
    )


def trained(recipe: TrainRecipe, num_steps: int) -> Training:
    training = open_training(recipe, CPU)
    step = step_of(recipe, training.network)
    for index in range(num_steps):
        step(training, batch(index))
    return training


def flat(training: Training) -> torch.Tensor:
    return torch.cat([one.flatten() for one in training.network.parameters()]).detach()


@pytest.mark.parametrize("num_parts", [2, 5])
def test_a_batch_in_parts_moves_the_weights_as_a_whole_one(num_parts: int) -> None:
    # Without momentum or moments, which amplify the last bits of small gradients.
    plain = {"algorithm": {"kind": "sgd", "momentum": 0.0}}
    start = flat(open_training(recipe_with(), CPU))

    whole = flat(trained(recipe_with(**plain), 3))
    parts = flat(trained(recipe_with(**plain, accumulate=num_parts), 3))

    assert (whole - start).norm() > 1e-3
    assert (parts - whole).norm() < 1e-4 * (whole - start).norm()


def test_a_step_is_no_longer_than_its_clipped_gradient() -> None:
    plain = {"algorithm": {"kind": "sgd", "momentum": 0.0}, "weight_decay": 0.0}
    start = flat(open_training(recipe_with(), CPU))

    moved = flat(trained(recipe_with(**plain, clip_norm=1e-3), 1)) - start

    rate = 0.01 / 4  # the first of three steps of warm-up
    assert moved.norm().item() == pytest.approx(rate * 1e-3, rel=1e-2)


def test_an_average_without_decay_is_the_network_itself() -> None:
    training = trained(recipe_with(ema_decay=0.0), 4)

    for name, tensor in training.average.state_dict().items():
        assert torch.equal(tensor, training.network.state_dict()[name])


def test_the_average_lags_as_its_closed_form_says() -> None:
    recipe = recipe_with(ema_decay=0.5)
    training = open_training(recipe, CPU)
    step = step_of(recipe, training.network)
    name = next(iter(training.network.state_dict()))
    expected = training.network.state_dict()[name].clone()
    for index in range(12):
        step(training, batch(index))
        share = min(0.5, (index + 1) / (11 + index))
        expected = share * expected + (1 - share) * training.network.state_dict()[name]

    assert torch.allclose(training.average.state_dict()[name], expected, atol=1e-6)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_learns_nearly_the_same(precision: str) -> None:
    exact = flat(trained(recipe_with(), 10))
    start = flat(open_training(recipe_with(), CPU))

    rough = flat(trained(recipe_with(precision), 10))

    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert (rough - exact).norm() < 0.5 * (exact - start).norm()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_before_it_moves_the_weights(
    number: float,
) -> None:
    recipe = recipe_with()
    training = open_training(recipe, CPU)
    before = flat(training)

    def spoilt(learner: Learner, part: Minibatch) -> torch.Tensor:
        return learner(part.image).sum() * number

    said = r"at step 0 and learning rate 0.0025 .* on the images step_0_a, step_0_b\."
    with pytest.raises(Diverged, match=said):
        step_of(recipe, training.network, spoilt)(training, batch())
    assert torch.equal(flat(training), before)


def test_dropout_follows_from_the_step_and_the_share_alone() -> None:
    recipe = training_of(
        network={"kind": "unet", "settings": {**UNET, "dropout": 0.5}},
        objective={
            "kind": "ddpm",
            "schedule": {"kind": "cosine", "num_timesteps": 100},
        },
    )

    def loss_of(part: Minibatch) -> float:
        training = open_training(recipe, CPU)
        step_of(recipe, training.network)(training, part)
        return training.unread[0]

    first = loss_of(batch())
    torch.rand(3)  # what it must not depend on

    assert loss_of(batch()) == first
    assert loss_of(replace(batch(), seed=1)) != first
