import re
from typing import Any

import numpy as np
import pytest
from trainings_made import training_of

from pipelines.train_checks import refuse_images, try_out
from pipelines.train_images import list_images
from pipelines.train_recipe import TrainRecipe

DIGITS = {"source": "digits", "split": "train"}


def refused(recipe: TrainRecipe, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        refuse_images(recipe, list_images(recipe))


def test_images_of_every_class_within_range_are_taken() -> None:
    recipe = training_of()

    refuse_images(recipe, list_images(recipe))
    try_out(recipe, list_images(recipe))


def test_a_label_that_is_no_class_is_refused_by_its_image() -> None:
    refused(
        training_of(network={"kind": "digits_cnn", "num_classes": 7}),
        r"labels in \[0, 7\).*image 'digits_\d+' has [789], and \d+ of 40 are outside",
    )


def test_a_label_of_minus_one_is_refused() -> None:
    recipe = training_of()
    listed = list_images(recipe).labelled(0, np.full(40, -1))

    with pytest.raises(ValueError, match="has -1, and 40 of 40 are outside"):
        refuse_images(recipe, listed)


def test_classes_without_images_are_refused_by_number() -> None:
    refused(
        training_of(network={"kind": "digits_cnn", "num_classes": 12}),
        "of 12 classes, 2 have none: 10, 11",
    )


def test_fewer_images_than_places_in_a_step_are_refused() -> None:
    optimiser = {"steps": 40, "batch": 64, "learning_rate": 0.01}

    refused(
        training_of(optimiser=optimiser, workers={"num_workers": 2}),
        "data has 40, and a step takes 64, 32 for each of 2 workers",
    )


def test_a_diffusion_model_needs_no_labels() -> None:
    recipe = training_of(
        network={"kind": "unet", "settings": UNET},
        objective={
            "kind": "ddpm",
            "schedule": {"kind": "cosine", "num_timesteps": 100},
        },
    )
    listed = list_images(recipe).labelled(0, np.full(40, -1))

    refuse_images(recipe, listed)
    try_out(recipe, listed)


UNET: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [8, 8],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "norm_num_groups": 8,
    "add_attention": False,
}


def test_images_that_the_network_does_not_take_are_refused_by_their_shape() -> None:
    recipe = training_of(network={"kind": "cifar_resnet", "depth": 8, "input": "none"})

    said = re.escape("those of channel x height x width (1, 8, 8) give:")
    with pytest.raises(ValueError, match=said):
        try_out(recipe, list_images(recipe))
