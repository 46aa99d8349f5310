"""Trained weights made up and published in this process, without a training."""

from pathlib import Path
from typing import Any

import torch

from infra.weights.load import load
from ops.columns import Worker
from ops.initialise import initialise
from ops.weights import Weights, WeightsRef
from pipelines.train_hash import recipe_hash
from pipelines.train_publish import folder_of, publish, weights_of
from pipelines.train_recipe import TrainRecipe


def read(reference: WeightsRef) -> Weights:
    assert reference.path is not None
    return Weights(reference.path, *load(reference.path))


WORKER = Worker(torch.device("cpu"), load=read)


def recipe_of(network: dict[str, Any], objective: dict[str, Any]) -> TrainRecipe:
    optimiser = {"steps": 100, "batch": 4, "learning_rate": 0.01}
    return TrainRecipe.model_validate(
        {"network": network, "objective": objective, "optimiser": optimiser}
    )


CLASSIFIER = recipe_of(
    {"kind": "digits_cnn"}, {"kind": "gaussian", "sigma_train": 0.25}
)


def published(
    recipe: TrainRecipe, cache: Path, beside: dict[str, bytes] | None = None
) -> Path:
    """Publish random weights of a recipe; return what to load."""
    network, name = initialise(recipe.network.network(), seed=3), recipe_hash(recipe)
    tensors, facts = network.state_dict(), {"images_sha256": "of images made up"}
    folder = folder_of(name, cache)
    publish(recipe, tensors, folder, beside=beside or {}, facts=facts)
    return weights_of(recipe, folder)
