"""The whole configuration of a training, validated before anything starts."""

from collections.abc import Sequence
from typing import Self

from pydantic import NonNegativeInt, model_validator

from infra.sources.digits import Digits
from ops.augment.augment import Augment
from ops.augment.nothing import Nothing
from ops.losses.objective import Objective
from pipelines.data import Data
from pipelines.part import Part
from pipelines.recipe import Precision, Tracking, validated
from pipelines.recipe_file import read_recipe, recipe_name
from pipelines.recipe_kinds import require_kind
from pipelines.train_network import Network, UnetNetwork
from pipelines.train_optimiser import Optimiser
from pipelines.train_parts import (
    CheckpointPlace,
    Extra,
    Loading,
    Probe,
    Start,
    TrainWorkers,
)
from pipelines.train_sense import (
    refuse_held_out,
    refuse_other_classes,
    refuse_steps_that_never_come,
)


class TrainRecipe(Part):
    """One network, what it is trained for, on which images and how."""

    data: Data = Data(source=Digits(split="train"))
    """Images, and what is done to them before the noise."""

    augment: Augment = Nothing()
    """How an image changes from pass to pass."""

    extra: Extra | None = None
    """Further images; ``None`` for none."""

    network: Network
    """What is trained."""

    start: Start | None = None
    """Weights to begin with; ``None`` for random ones that follow from the seed."""

    objective: Objective
    """What it is trained for."""

    optimiser: Optimiser
    """Steps and their size."""

    precision: Precision = "float32"
    """Type the network computes in under autocast; weights stay float32."""

    seed: NonNegativeInt = 0
    """Seed of first weights, order of images and noise."""

    probe: Probe | None = None
    """What is measured on the way; ``None``: nothing but the loss."""

    workers: TrainWorkers = TrainWorkers()
    """Who computes."""

    loading: Loading = Loading()
    """Who reads the images."""

    checkpoints: CheckpointPlace = CheckpointPlace()
    """Where and how often the training is saved."""

    tracking: Tracking = Tracking()
    """MLflow."""

    @model_validator(mode="after")
    def _is_trained_for_what_it_is(self) -> Self:
        if self.network.trains != self.objective.trains:
            raise ValueError(
                f"A training needs a network that fits its objective; network has kind "
                f"{self.network.kind}, which is a {self.network.trains}, and objective "
                f"{self.objective.kind} trains a {self.objective.trains}. Train a unet "
                f"for ddpm, edm, calibration or a consistency model, a dncnn for "
                f"denoise_mse, denoise_stab or denoise_clf, and a classifier for the "
                f"others."
            )
        return self

    @model_validator(mode="after")
    def _predicts_what_it_is_trained_for(self) -> Self:
        if isinstance(self.network, UnetNetwork):
            settings = self.network.settings
            inputs = settings.get("in_channels", 3)
            outputs = settings.get("out_channels", 3)
            needed = inputs * (2 if getattr(self.objective, "learned_sigma", 0) else 1)
            if outputs != needed:
                raise ValueError(
                    f"objective {self.objective.kind} needs a network of {needed} "
                    f"output channels for {inputs} of the image; network.settings has "
                    f"out_channels {outputs}. Set it to {needed}, or change "
                    f"objective.learned_sigma."
                )
        return self

    @model_validator(mode="after")
    def _can_be_descended(self) -> Self:
        classifier = getattr(self.objective, "classifier", None)
        if getattr(classifier, "combine", None) == "vote":
            raise ValueError(
                f"objective {self.objective.kind} needs a classifier with gradients; "
                f"objective.classifier is an ensemble that combines by vote. Set "
                f"objective.classifier.combine to logits or softmax."
            )
        return self

    @model_validator(mode="after")
    def _shares_its_batch_evenly(self) -> Self:
        shares = self.workers.num_workers * self.optimiser.accumulate
        if self.optimiser.batch % shares:
            raise ValueError(
                f"A training needs a batch that its workers can share evenly; "
                f"optimiser.batch has {self.optimiser.batch} images, "
                f"workers.num_workers is {self.workers.num_workers} and "
                f"optimiser.accumulate {self.optimiser.accumulate}. Change one."
            )
        return self

    @model_validator(mode="after")
    def _makes_sense_as_a_whole(self) -> Self:
        refuse_held_out(self)
        refuse_other_classes(self)
        refuse_steps_that_never_come(self)
        return self


def load_train_recipe(name_or_path: str, settings: Sequence[str] = ()) -> TrainRecipe:
    """Read a training recipe, apply settings and validate it.

    Args:
        name_or_path: packaged recipe or YAML file.
        settings: ``field=value`` each.

    Raises:
        ValueError: anything in it does not hold; the message names the field.
    """
    raw = read_recipe(name_or_path, list(settings))
    require_kind(raw, recipe_name(name_or_path), "training")
    return validated(TrainRecipe, raw, recipe_name(name_or_path))
