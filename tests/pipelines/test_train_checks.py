import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trainings_made import UNET, training_of

from infra.weights.safetensors_file import write
from pipelines.train_checks import refuse_images, try_out, try_probe
from pipelines.train_images import ImageList, list_images
from pipelines.train_recipe import TrainRecipe

DIGITS = {"source": "digits", "split": "train"}


def refusal(recipe: TrainRecipe, listed: ImageList | None = None) -> str:
    """Return why images are refused; nothing if they are taken and tried out."""
    images = listed or list_images(recipe)
    try:
        refuse_images(recipe, images)
        try_out(recipe, images)
    except ValueError as error:
        return str(error)
    return ""


def test_images_of_every_class_within_range_are_taken() -> None:
    assert refusal(training_of()) == ""


def test_a_label_that_is_no_class_is_refused_by_its_image() -> None:
    told = refusal(training_of(network={"kind": "digits_cnn", "num_classes": 7}))

    labels = list_images(training_of()).label
    assert "needs labels in [0, 7)" in told
    assert re.search(r"image 'digits_\d+' has [789]", told)
    assert f"{(labels > 6).sum()} of 40 are outside" in told


def test_a_label_of_minus_one_is_refused() -> None:
    recipe = training_of()
    listed = list_images(recipe).labelled(0, np.full(40, -1))

    assert "has -1, and 40 of 40 are outside" in refusal(recipe, listed)


def test_classes_without_images_are_refused_by_number() -> None:
    told = refusal(training_of(network={"kind": "digits_cnn", "num_classes": 12}))

    assert "of 12 classes, 2 have none: 10, 11" in told


def test_fewer_images_than_places_in_a_step_are_refused() -> None:
    optimiser = {"steps": 40, "batch": 64, "learning_rate": 0.01}

    told = refusal(training_of(optimiser=optimiser, workers={"num_workers": 2}))

    assert "data has 40, and a step takes 64, 32 for each of 2 workers" in told


def test_a_diffusion_model_needs_no_labels() -> None:
    recipe = training_of(
        network={"kind": "unet", "settings": UNET},
        objective={
            "kind": "ddpm",
            "schedule": {"kind": "cosine", "num_timesteps": 100},
        },
    )
    listed = list_images(recipe).labelled(0, np.full(40, -1))

    assert refusal(recipe, listed) == ""


def test_images_that_the_network_does_not_take_are_refused_by_their_shape() -> None:
    recipe = training_of(network={"kind": "cifar_resnet", "depth": 8, "input": "none"})

    said = re.escape("those of channel x height x width (1, 8, 8) give:")
    with pytest.raises(ValueError, match=said):
        try_out(recipe, list_images(recipe))


def test_weights_to_begin_with_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    write(path, {"0.weight": torch.zeros(2, 1, 3, 3)}, {})
    recipe = training_of(start={"weights": {"path": str(path)}})

    with pytest.raises(ValueError, match="needs weights that fit it"):
        try_out(recipe, list_images(recipe))


def test_a_frozen_classifier_whose_weights_do_not_fit_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "other.safetensors"
    write(path, {"0.weight": torch.zeros(2, 1, 3, 3)}, {})
    classifier = {"kind": "digits_cnn", "weights": {"path": str(path)}}
    recipe = training_of(
        network={"kind": "dncnn", "depth": 3, "width": 4, "channels": 1},
        objective={"kind": "denoise_clf", "sigma_train": 1, "classifier": classifier},
    )

    with pytest.raises(ValueError, match="needs weights that fit it"):
        try_out(recipe, list_images(recipe))


def test_a_label_free_objective_takes_any_labels() -> None:
    classifier = {"kind": "digits_cnn", "num_classes": 3, "weights": {"untrained": 0}}
    fields: dict[str, Any] = {
        "network": {"kind": "dncnn", "depth": 3, "width": 4, "channels": 1},
    }
    told = {}
    for kind in ("denoise_stab", "denoise_clf"):
        objective = {"kind": kind, "sigma_train": 1, "classifier": classifier}
        told[kind] = refusal(training_of(**fields, objective=objective))

    assert told["denoise_stab"] == ""
    assert "needs labels in [0, 3)" in told["denoise_clf"]


def test_a_teacher_that_takes_other_images_is_refused() -> None:
    teacher = {
        "kind": "cifar_resnet",
        "depth": 8,
        "shortcut": "B",
        "input": "none",
        "weights": {"untrained": 0},
    }
    recipe = training_of(extra={"data": DIGITS, "teacher": teacher})

    with pytest.raises(ValueError, match=r"\(1, 8, 8\) give: .* Check extra.teacher"):
        try_out(recipe, list_images(recipe))


def test_a_probe_of_another_size_is_refused() -> None:
    recipe = training_of(probe={"data": {"source": "digits", "split": "tune"}})
    image = np.zeros((2, 3, 8, 8), dtype=np.float32)

    with pytest.raises(ValueError, match=r"probe.data has .* \(3, 8, 8\), data has"):
        try_probe(recipe, image, list_images(recipe))
