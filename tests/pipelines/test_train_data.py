from typing import Any

import torch

from pipelines.train_data import minibatch_of, read_images
from pipelines.train_recipe import TrainRecipe

NUM_IMAGES, BATCH = 10, 4


def recipe(**changes: Any) -> TrainRecipe:
    return TrainRecipe.model_validate(
        {
            "network": {"kind": "digits_cnn"},
            "objective": {"kind": "gaussian", "sigma_train": 0.25},
            "optimiser": {"steps": 99, "batch": BATCH, "learning_rate": 0.001},
            **changes,
        }
    )


def labels_of_steps(num_steps: int, seed: int = 0) -> list[int]:
    image, label = torch.zeros(NUM_IMAGES, 1, 2, 2), torch.arange(NUM_IMAGES)
    steps = (minibatch_of(recipe(seed=seed), s, image, label) for s in range(num_steps))
    return torch.cat([step.label for step in steps]).tolist()


def test_every_pass_has_every_image_once_though_batches_span_passes() -> None:
    labels = labels_of_steps(5)  # 20 images: two passes over 10 in batches of 4

    assert sorted(labels[:NUM_IMAGES]) == list(range(NUM_IMAGES))
    assert sorted(labels[NUM_IMAGES:]) == list(range(NUM_IMAGES))


def test_passes_and_seeds_have_orders_of_their_own() -> None:
    labels = labels_of_steps(5)

    assert labels[:NUM_IMAGES] != labels[NUM_IMAGES:]
    assert labels != labels_of_steps(5, seed=1)
    assert labels == labels_of_steps(5)


def test_images_stay_with_their_labels_and_in_the_range_of_pixels() -> None:
    image, label = read_images(recipe().data)

    assert image.shape[1:] == (1, 8, 8)
    assert len(image) == len(label)
    assert image.min() == 0.0
    assert image.max() == 1.0
    # A drawn 0 is hollow, a drawn 1 is not.
    centre = image[:, 0, 3:5, 3:5].mean(axis=(1, 2))
    assert centre[label == 0].mean() < centre[label == 1].mean() - 0.3
