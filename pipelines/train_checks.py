"""What no training could use, refused in the driver before a worker starts."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from infra.sources.entry import some
from ops.augment.nothing import Nothing
from ops.columns import Worker
from ops.losses.calibration import CalibrationObjective
from ops.losses.dncnn_clf import DenoiseClf
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from pipelines.train_images import ImageList
from pipelines.train_read import WORDS, read
from pipelines.train_recipe import TrainRecipe
from pipelines.train_state import open_training
from pipelines.worker import load_weights


def refuse_images(recipe: TrainRecipe, listed: ImageList) -> None:
    """Refuse images that the recipe cannot train on.

    Args:
        recipe: what is trained.
        listed: all images, the extra ones with the labels they get.

    Raises:
        ValueError: there are fewer than a step takes, a label is no class of the
            network, or a class has no image.
    """
    num, batch = len(listed), recipe.optimiser.batch
    if num < batch:
        each = batch // recipe.workers.num_workers
        raise ValueError(
            f"A training needs at least one image for every place in a step; data has "
            f"{num}, and a step takes {batch}, {each} for each of "
            f"{recipe.workers.num_workers} workers. Lower optimiser.batch, or take "
            f"more images."
        )
    reads = recipe.network
    if isinstance(recipe.objective, DenoiseClf | CalibrationObjective):
        reads = recipe.objective.classifier
    num_classes: int | None = getattr(reads, "num_classes", None)
    if num_classes is not None:
        _refuse_labels(listed, num_classes)


def _refuse_labels(listed: ImageList, num_classes: int) -> None:
    outside = np.flatnonzero((listed.label < 0) | (listed.label >= num_classes))
    if len(outside):
        (key,) = listed.keys(outside[:1])
        raise ValueError(
            f"A training needs labels in [0, {num_classes}), the classes of its "
            f"network; image {key!r} has {listed.label[outside[0]]}, and "
            f"{len(outside)} of {len(listed)} are outside. Set network.num_classes, or "
            f"take a labelled split."
        )
    empty = np.flatnonzero(np.bincount(listed.label, minlength=num_classes) == 0)
    if len(empty):
        names = some([str(one) for one in empty])
        raise ValueError(
            f"A training needs images of every class of its network; of {num_classes} "
            f"classes, {len(empty)} have none: {names}. Set network.num_classes, or "
            f"take a subset that has them, such as stratified:n:seed."
        )


def try_out(recipe: TrainRecipe, listed: ImageList) -> None:
    """Open a training here and take its loss on an image of each source.

    Args:
        recipe: what is trained, its weights found.
        listed: all images.

    Raises:
        ValueError: sizes differ, a network does not take such an image, or weights do
            not fit where they are read.
        Refused: an image cannot be decoded.
    """
    first = [int(np.argmax(listed.part == part)) for part in np.unique(listed.part)]
    augment = recipe.augment if recipe.augment.kind == "timm" else Nothing()
    words = np.zeros((len(first), WORDS), dtype=np.int64)
    image = _pixels(read(listed, np.array(first), augment, words))
    device = torch.device("cpu")
    worker = Worker(device, load=load_weights)
    start = load_weights(recipe.start.weights) if recipe.start else None
    network = open_training(recipe, device, start).network.eval()
    predict = recipe.network.predict(network, device)
    loss = recipe.objective.open(worker)
    label = torch.zeros(len(image), dtype=torch.int64)
    batch = Minibatch(image, label, recipe.seed, step=0)
    with _shapes_told(image, "data.preprocess"):
        loss(Learner(predict, network, predict, target=predict), batch)
    if recipe.extra is not None and recipe.extra.teacher is not None:
        teach = recipe.extra.teacher.open(worker)
        with _shapes_told(image, "extra.teacher"):
            teach(image[-1:].expand(worker.batch, -1, -1, -1))


def try_probe(recipe: TrainRecipe, image: np.ndarray, listed: ImageList) -> None:
    """Refuse images of a probe that are not as those that are trained on.

    Args:
        recipe: with a probe.
        image: of the probe, float32 ``image channel height width``.
        listed: those that are trained on.

    Raises:
        ValueError: they have another size.
    """
    augment = recipe.augment if recipe.augment.kind == "timm" else Nothing()
    words = np.zeros((1, WORDS), dtype=np.int64)
    trained = read(listed, np.zeros(1, dtype=np.int64), augment, words)
    if image.shape[1:] != trained.shape[1:]:
        raise ValueError(
            f"A probe needs images as those that are trained on; probe.data has "
            f"channel x height x width {image.shape[1:]}, data has "
            f"{trained.shape[1:]}. Set probe.data.preprocess."
        )


def _pixels(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).float() / 255


@contextmanager
def _shapes_told(image: torch.Tensor, field: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ValueError(
            f"A training needs images its networks take; those of channel x height x "
            f"width {tuple(image.shape[1:])} give: {error}. Check {field}, and the "
            f"settings of the networks."
        ) from error
