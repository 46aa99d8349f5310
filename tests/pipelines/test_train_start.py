"""Trainings that begin with the weights of another, as it was published."""

from pathlib import Path
from typing import Any

import pytest
import torch
from published_here import published
from trainings_made import UNET, training_of

from ops.initialise import initialise
from ops.weights import WeightsRef
from pipelines.train_checks import refuse_images
from pipelines.train_images import list_images
from pipelines.train_recipe import TrainRecipe
from pipelines.train_state import open_training
from pipelines.worker import load_weights

CPU = torch.device("cpu")
COSINE = {"kind": "cosine", "num_timesteps": 1000}
DDPM = {"kind": "ddpm", "schedule": COSINE}
CALIBRATION: dict[str, Any] = {
    "kind": "calibration",
    "schedule": COSINE,
    "sigma": [0.25, 0.5],
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
    "brier_weight": 0.1,
}


def unet(objective: dict[str, Any], **settings: Any) -> TrainRecipe:
    network = {"kind": "unet", "settings": {**UNET, **settings}}
    return training_of(network=network, objective=objective)


def begun(path: Path, recipe: TrainRecipe) -> torch.nn.Module:
    """Return the network of a training that begins with what is at a path."""
    start = {"weights": {"path": str(path)}}
    told = TrainRecipe.model_validate({**recipe.model_dump(), "start": start})
    weights = load_weights(WeightsRef(path=str(path)))
    return open_training(told, CPU, weights).network


def test_a_diffusion_model_is_trained_further_from_its_folder(tmp_path: Path) -> None:
    first = unet(DDPM)
    path = published(first, tmp_path)

    network = begun(path, unet(CALIBRATION))

    assert path.is_dir()
    expected = initialise(first.network.network(), seed=3).state_dict()
    found = network.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    assert all(weight.requires_grad for weight in network.parameters())


def test_a_diffusion_model_of_another_width_is_refused_by_its_folder(
    tmp_path: Path,
) -> None:
    path = published(unet(DDPM), tmp_path)

    with pytest.raises(ValueError, match="needs weights that fit it") as refused:
        begun(path, unet(CALIBRATION, block_out_channels=[8, 16]))
    assert str(path) in str(refused.value)


def test_labels_that_are_no_class_of_the_frozen_classifier_are_refused() -> None:
    classifier = {**CALIBRATION["classifier"], "num_classes": 7}
    recipe = unet({**CALIBRATION, "classifier": classifier})

    with pytest.raises(ValueError, match=r"needs labels in \[0, 7\)"):
        refuse_images(recipe, list_images(recipe))
    refuse_images(unet(CALIBRATION), list_images(recipe))
