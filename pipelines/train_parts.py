"""The smaller parts of a training recipe."""

from typing import Annotated, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from ops.classify.classifier import Classifier
from ops.weights import WeightsRef
from pipelines.data import Data
from pipelines.part import Part


class Extra(Part):
    """Further images beside the data set's own.

    Source:
        Carmon et al. 2019, arXiv:1905.13736, for images labelled by a classifier;
        Salman et al. 2019, arXiv:1906.04584, section 4.3, for smoothed ones.
    """

    data: Data
    """The images, of the same size once preprocessed."""

    teacher: Classifier | None = None
    """Classifier whose guesses on the images are their labels; ``None`` takes the
    labels they come with."""

    weight: PositiveFloat = 1.0
    """How much an image counts, beside 1 for one of the data set's own."""

    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of every step's images that are extra ones, each of the two sets in
    passes of its own; ``None`` mixes both into one set."""


class Start(Part):
    """Weights to begin with, in place of random ones."""

    weights: WeightsRef
    """Of the same network."""

    skip: tuple[str, ...] = ()
    """What names of tensors begin with that stay random, as of a head with other
    classes."""

    average_classes: bool = False
    """Whether the weights are of a class-conditional U-Net, the mean of whose classes
    stands for each: a training's U-Net is told no class."""


class Probe(Part):
    """What is measured after some passes over the data, on other images."""

    data: Data
    """Some dozens of images that are not certified; if they are trained on as well,
    what is measured is how they are learned, not how others are."""

    every: PositiveInt = 1
    """Passes over the data between two measurements."""

    num_select: PositiveInt = 10
    """Noisy copies of each image on which its class is guessed (N0)."""

    num_estimate: PositiveInt = 50
    """Noisy copies of each image that bound its probability (N)."""

    failure_probability: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Chance that one image's bound is too high (alpha)."""


class Loading(Part):
    """Tasks that read, decode and augment images for the workers."""

    tasks: PositiveInt = 1
    """At once, for each worker."""

    cpus: NonNegativeFloat = 0.0
    """Cores that each asks of the cluster; 0 shares those of the workers."""

    ahead: PositiveInt = 2
    """Rows of some steps that are ready before they are needed, for each worker."""


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


class CheckpointPlace(Part):
    """Where a training is saved while it runs."""

    uri: str | None = None
    """Folder that all nodes see, or ``s3://bucket/prefix``; ``None`` for a folder in
    the cache of trained weights."""

    every: PositiveInt = 200
    """Steps between checkpoints: what is lost if a worker dies."""

    keep: PositiveInt = 1
    """Checkpoints that stay until the training has ended; it goes on from the last."""

    @model_validator(mode="after")
    def _is_a_place(self) -> Self:
        scheme, mark, _ = (self.uri or "").partition("://")
        if mark and scheme != "s3":
            raise ValueError(
                f"checkpoints.uri needs a folder or s3://bucket/prefix; it is "
                f"{self.uri!r}. Name one of these."
            )
        return self
