"""Consistency models from recipe to published folder to purifier."""

from pathlib import Path
from typing import Any

import pytest
import torch
from published_here import WORKER, published, recipe_of
from trainings_made import UNET

from ops.columns import Worker
from ops.initialise import initialise
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.purify.averaged_class import without_classes
from ops.purify.consistency import Consistency
from ops.purify.consistency_scalings import ConsistencySettings
from ops.purify.unet import assemble_unet
from ops.weights import Weights, WeightsRef
from pipelines.references import references_in
from pipelines.train_recipe import TrainRecipe, load_train_recipe
from pipelines.train_state import open_training
from pipelines.train_step import Step

CPU = torch.device("cpu")
# Two channels a group: norms of one channel each take off what the time adds to it.
SEEING = {**UNET, "norm_num_groups": 4}
NETWORK = {"kind": "unet", "settings": SEEING}
UNTRAINED = {"untrained": 0}
FEATURES = {
    "kind": "features",
    "classifier": {"kind": "digits_cnn", "weights": UNTRAINED},
}
MODEL = {"num_levels": 12, "highest": 10.0, "time_factor": 1.0}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "consistency_distillation": {
        "teacher": {
            "weights": UNTRAINED,
            "unet": SEEING,
            "scheduler": {"_class_name": "EDMEulerScheduler", "sigma_data": 0.5},
        }
    },
    "consistency_training": {
        "growth": {
            "kind": "square_root",
            "first_levels": 4,
            "last_levels": 12,
            "steps_to_last": 5,
        }
    },
    "consistency_finetuning": {"sigma": [0.25, 0.5]},
}


def recipe_for(kind: str, **metric: Any) -> TrainRecipe:
    fields = {"kind": kind, "model": MODEL, "metric": metric or FEATURES}
    return recipe_of(NETWORK, {**fields, **OBJECTIVES[kind]})


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_published_model_opens_as_a_purifier_that_knows_its_levels(
    tmp_path: Path, kind: str
) -> None:
    reference = WeightsRef(path=str(published(recipe_for(kind), tmp_path)))
    noisy = torch.linspace(0, 1, 128).view(2, 1, 8, 8)

    found = Consistency(weights=reference).open(WORKER, 0.5)(noisy)

    told = ConsistencySettings.model_validate(MODEL)
    again = Consistency(weights=reference, model=told).open(WORKER, 0.5)(noisy)
    assert torch.equal(found, again)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_steps_move_the_network_and_what_the_loss_looks_at(kind: str) -> None:
    recipe = recipe_for(kind)
    training = open_training(recipe, CPU)
    predict = recipe.network.predict(training.network, CPU)
    target = training.target and recipe.network.predict(training.target, CPU)
    learner = Learner(predict, training.network, predict, target=target)
    loss = recipe.objective.open(Worker(CPU))
    step = Step(recipe, loss, learner, training.network, keys=lambda _: [])
    before = training.network.state_dict()["conv_in.weight"].clone()

    for index in range(2):
        image = torch.rand(4, 1, 8, 8)
        label = torch.zeros(4, dtype=torch.int64)
        step(training, Minibatch(image, label, seed=0, step=index))

    after = training.network.state_dict()["conv_in.weight"]
    assert not torch.equal(after, before)
    assert (training.target is None) == (kind == "consistency_finetuning")
    if training.target is not None:
        slow = training.target.state_dict()["conv_in.weight"]
        assert torch.equal(slow, after) == (kind == "consistency_training")
        assert not torch.equal(slow, before)


def test_weights_of_teacher_start_and_metric_are_found() -> None:
    distilled = load_train_recipe("train_digits_consistency_distillation")
    finetuned = load_train_recipe("train_digits_consistency_finetuned")

    assert set(references_in(distilled)) == {
        "start.weights",
        "objective.teacher.weights",
    }
    assert set(references_in(finetuned)) == {
        "start.weights",
        "objective.metric.classifier.weights",
    }


@torch.no_grad()
def test_the_mean_of_all_classes_moves_into_the_time() -> None:
    conditional: Any = assemble_unet({**SEEING, "num_class_embeds": 3})
    initialise(conditional, 0)
    table = conditional.class_embedding.weight
    table.copy_(torch.randn(table.shape, generator=torch.Generator().manual_seed(0)))
    begun = recipe_of(NETWORK, {"kind": "edm"}).model_copy(
        update={"start": _averaged(WeightsRef(path="file"))}
    )

    weights = Weights("file", conditional.state_dict())
    network = open_training(begun, CPU, weights).network

    table.copy_(table.mean(dim=0, keepdim=True).expand_as(table).clone())
    image, time = torch.rand(2, 1, 8, 8), torch.tensor([3.0, 700.0])
    wanted = conditional.eval()(image, time, class_labels=torch.tensor([0, 2]))[0]
    torch.testing.assert_close(network.eval()(image, time)[0], wanted)
    table.zero_()
    untold = conditional(image, time, class_labels=torch.tensor([0, 2]))[0]
    assert (untold - wanted).abs().max() > 1e-3  # the mean has a say


def _averaged(reference: WeightsRef) -> Any:
    fields = {"weights": reference, "average_classes": True}
    return TrainRecipe.model_validate(
        {
            "network": NETWORK,
            "objective": {"kind": "edm"},
            "optimiser": {"steps": 100, "batch": 4, "learning_rate": 0.01},
            "start": fields,
        }
    ).start


def test_a_network_without_classes_has_none_to_average() -> None:
    with pytest.raises(ValueError, match=r"file has no 'class_embedding.weight'"):
        without_classes(Weights("file", {}))
