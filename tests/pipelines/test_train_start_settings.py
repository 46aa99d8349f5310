"""Weights that a training begins with, and the settings they were trained for."""

import re
from typing import Any

import pytest
import torch
from trainings_made import UNET, training_of

from ops.initialise import initialise
from ops.weights import Weights
from pipelines.train_recipe import TrainRecipe
from pipelines.train_state import open_training

UNTRAINED = {"untrained": 0}
COSINE = {"kind": "cosine", "num_timesteps": 1000}
LINEAR = {"kind": "linear", "beta_start": 1e-4, "beta_end": 0.02}
MODEL = {"num_levels": 18, "time_factor": 1.0}
GROWTH = {
    "kind": "square_root",
    "first_levels": 4,
    "last_levels": 18,
    "steps_to_last": 5,
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "ddpm": {"schedule": COSINE},
    "edm": {},
    "calibration": {
        "schedule": COSINE,
        "sigma": [0.25],
        "classifier": {"kind": "digits_cnn", "weights": UNTRAINED},
        "brier_weight": 0.1,
    },
    "consistency_finetuning": {"sigma": [0.25], "model": MODEL},
    "consistency_distillation": {"teacher": {"weights": UNTRAINED}, "model": MODEL},
    "consistency_training": {"growth": GROWTH, "model": MODEL},
}
PUBLIC = {  # as the public consistency models' files have it
    "_class_name": "CMStochasticIterativeScheduler",
    "clip_denoised": True,
    "num_train_timesteps": 40,
    "rho": 7.0,
    "sigma_data": 0.5,
    "sigma_max": 80.0,
    "sigma_min": 0.002,
}
OLD = {  # as files from before predictions were told have it
    "_class_name": "DDIMScheduler",
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "num_train_timesteps": 200,
}


def training(kind: str, **changes: Any) -> TrainRecipe:
    objective = {"kind": kind, **OBJECTIVES[kind], **changes}
    if kind.startswith("consistency"):
        objective["metric"] = {"kind": "l2"}
    network = {"kind": "unet", "settings": UNET}
    return training_of(
        network=network, objective=objective, start={"weights": {"path": "net"}}
    )


def begin(recipe: TrainRecipe, scheduler: dict[str, Any]) -> bool:
    """Return whether a training with some weights before it begins with them."""
    tensors = initialise(recipe.network.network(), 3).state_dict()
    start = Weights("net", tensors, {"scheduler": scheduler})
    own = open_training(recipe, torch.device("cpu"), start).network.state_dict()
    return all(torch.equal(own[name], tensors[name]) for name in tensors)


def scheduler_of(kind: str, **changes: Any) -> dict[str, Any]:
    objective: Any = training(kind, **changes).objective
    return objective.scheduler()


def test_a_finetuned_model_keeps_the_grid_that_its_network_was_trained_for() -> None:
    other = {"num_levels": 40, "time_factor": 1000, "sigma_data": 2}
    recipe = training("consistency_finetuning", model=other)

    with pytest.raises(
        ValueError,
        match=r"objective\.model\.num_levels needs .* of net has "
        r"num_train_timesteps 18, the objective 40\. Change",
    ):
        begin(recipe, scheduler_of("consistency_distillation"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_levels", 19),
        ("lowest", 0.003),
        ("highest", 40.0),
        ("sigma_data", 0.6),
        ("rho", 6.0),
        ("time_factor", 1000.0),
    ],
)
def test_every_setting_of_a_finetuned_model_is_compared(
    name: str, value: float
) -> None:
    recipe = training("consistency_finetuning", model={**MODEL, name: value})

    with pytest.raises(ValueError, match=rf"objective\.model\.{name} needs"):
        begin(recipe, scheduler_of("consistency_training"))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("schedule.num_timesteps", {"schedule": {**COSINE, "num_timesteps": 200}}),
        ("schedule.kind", {"schedule": {**LINEAR, "num_timesteps": 1000}}),
        ("prediction", {"prediction": "v"}),
    ],
)
def test_calibration_goes_on_with_the_schedule_of_its_network(
    name: str, changes: dict[str, Any]
) -> None:
    recipe = training("calibration", **changes)

    begin(recipe, scheduler_of("ddpm", **changes))
    with pytest.raises(ValueError, match=rf"objective\.{re.escape(name)} needs"):
        begin(recipe, scheduler_of("ddpm"))


@pytest.mark.parametrize("kind", ["consistency_distillation", "consistency_training"])
@pytest.mark.parametrize(
    ("scheduler", "model", "refused"),
    [
        ("edm", {**MODEL, "highest": 10.0}, None),
        ("edm", {**MODEL, "time_factor": 1000.0}, "time_factor 1, the objective 1000"),
        ("edm", {**MODEL, "sigma_data": 0.6}, "sigma_data 0.5, the objective 0.6"),
        ("public", {"num_levels": 18}, None),
        ("public", MODEL, "time_factor 1000, the objective 1"),
        ("public", {"sigma_data": 0.6}, "sigma_data 0.5, the objective 0.6"),
    ],
)
def test_a_consistency_model_keeps_the_scales_of_the_network_it_begins_with(
    kind: str, scheduler: str, model: dict[str, Any], refused: str | None
) -> None:
    recipe = training(kind, model=model)
    told = PUBLIC if scheduler == "public" else scheduler_of("edm")

    if refused is None:
        begin(recipe, told)
        return
    with pytest.raises(ValueError, match=refused):
        begin(recipe, told)


@pytest.mark.parametrize(
    ("kind", "begun_with"),
    [
        ("ddpm", "edm"),
        ("edm", "ddpm"),
        ("calibration", "edm"),
        ("consistency_finetuning", "edm"),
    ],
)
def test_a_network_of_another_family_is_refused(kind: str, begun_with: str) -> None:
    with pytest.raises(ValueError, match=r"needs to begin with one; .*, net\. Take"):
        begin(training(kind), scheduler_of(begun_with))


@pytest.mark.parametrize(
    ("kind", "changes", "scheduler"),
    [
        ("ddpm", {}, OLD),  # another schedule is learned
        ("edm", {"sigma_data": 0.6}, {"_class_name": "EDMEulerScheduler"}),
        ("calibration", {"schedule": {**LINEAR, "num_timesteps": 200}}, OLD),
        ("consistency_finetuning", {"model": {"num_levels": 40}}, PUBLIC),
        ("consistency_finetuning", {}, {}),
    ],
)
def test_what_agrees_or_is_not_told_is_taken(
    kind: str, changes: dict[str, Any], scheduler: dict[str, Any]
) -> None:
    assert begin(training(kind, **changes), scheduler)


def test_an_old_file_that_does_not_tell_its_prediction_predicts_noise() -> None:
    schedule = {**LINEAR, "num_timesteps": 200}
    recipe = training("calibration", schedule=schedule, prediction="v")

    with pytest.raises(ValueError, match="prediction_type epsilon, the objective v"):
        begin(recipe, OLD)


def test_a_classifier_has_no_settings_to_compare() -> None:
    assert begin(training_of(start={"weights": {"path": "net"}}), PUBLIC)
