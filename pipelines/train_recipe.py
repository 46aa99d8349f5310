"""The whole configuration of a training, validated before anything starts."""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from infra.sources.digits import Digits
from ops.losses.ddpm import DdpmObjective
from ops.losses.objective import Objective
from pipelines.data import Data
from pipelines.part import Part
from pipelines.recipe import validated
from pipelines.recipe_file import read_recipe, recipe_name
from pipelines.train_network import Network, UnetNetwork


class Optimiser(Part):
    """AdamW whose learning rate warms up linearly and falls to 0 along a cosine."""

    steps: PositiveInt
    """Updates of the weights."""

    batch: PositiveInt
    """Images per step, over all workers."""

    learning_rate: PositiveFloat
    """Largest step size."""

    warmup: NonNegativeInt = 30
    """Steps in which the learning rate rises to its largest."""

    weight_decay: NonNegativeFloat = 0.01
    """Share of the weights taken off per unit of learning rate."""

    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Share of the averaged weights that a step keeps; 0 publishes the last weights."""

    @model_validator(mode="after")
    def _warms_up_within_the_training(self) -> Self:
        if self.warmup >= self.steps:
            raise ValueError(
                f"optimiser needs warmup below steps; they are {self.warmup} and "
                f"{self.steps}. Train longer or warm up less."
            )
        return self


class TrainWorkers(Part):
    """Workers that share each step, and what each asks of the cluster."""

    num_workers: PositiveInt = 1
    """Workers; the batch is shared out evenly."""

    cpus: PositiveInt = 1
    """Cores each, and threads its network computes with."""

    gpus: NonNegativeFloat = 0.0
    """Accelerators each, fractions allowed."""

    max_failures: NonNegativeInt = 3
    """Lost workers after which the training stops instead of going on."""


class TrainRecipe(Part):
    """One network, what it is trained for, on which images and how."""

    data: Data = Data(source=Digits(split="train"))
    """Images, and what is done to them before the noise."""

    network: Network
    """What is trained."""

    objective: Objective
    """What it is trained for."""

    optimiser: Optimiser
    """Steps and their size."""

    seed: NonNegativeInt = 0
    """Seed of first weights, order of images and noise."""

    workers: TrainWorkers = TrainWorkers()
    """Who computes."""

    checkpoint_every: PositiveInt = 200
    """Steps between checkpoints: what is lost if a worker dies."""

    @model_validator(mode="after")
    def _is_trained_for_what_it_is(self) -> Self:
        diffuses = isinstance(self.network, UnetNetwork)
        if diffuses != isinstance(self.objective, DdpmObjective):
            raise ValueError(
                f"A training needs a network that fits its objective; network has kind "
                f"{self.network.kind} and objective {self.objective.kind}. Train a "
                f"unet for ddpm and a classifier for gaussian."
            )
        return self

    @model_validator(mode="after")
    def _shares_its_batch_evenly(self) -> Self:
        if self.optimiser.batch % self.workers.num_workers:
            raise ValueError(
                f"A training needs a batch that its workers can share evenly; "
                f"optimiser.batch has {self.optimiser.batch} images and "
                f"workers.num_workers is {self.workers.num_workers}. Change either."
            )
        return self

    @model_validator(mode="after")
    def _leaves_the_test_images_alone(self) -> Self:
        if getattr(self.data.source, "split", None) == "test":
            raise ValueError(
                "A training needs images that are not certified afterwards; data has "
                "split 'test'. Set data.split to train."
            )
        return self


def recipe_hash(recipe: TrainRecipe) -> str:
    """Return the name of what a recipe trains: equal recipes, equal weights.

    What changes no weights (accelerators, failures, checkpoints) is left out; workers
    and cores are not, for they change the order of sums.

    Args:
        recipe: validated recipe.

    Returns:
        32 hexadecimal digits.
    """
    idle = {"workers": {"gpus", "max_failures"}, "checkpoint_every": True}
    content = json.dumps(recipe.model_dump(mode="json", exclude=idle), sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def load_train_recipe(name_or_path: str, settings: Sequence[str] = ()) -> TrainRecipe:
    """Read a training recipe, apply settings and validate it.

    Args:
        name_or_path: packaged recipe or YAML file.
        settings: ``field=value`` each.

    Raises:
        ValueError: anything in it does not hold; the message names the field.
    """
    raw = read_recipe(name_or_path, list(settings))
    return validated(TrainRecipe, raw, recipe_name(name_or_path))
