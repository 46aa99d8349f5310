"""What no training could use, refused in the driver before a worker starts."""

import numpy as np
import torch

from infra.sources.entry import some
from ops.augment.nothing import Nothing
from ops.columns import Worker
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
    for part in (recipe.network, getattr(recipe.objective, "classifier", None)):
        if (num_classes := getattr(part, "num_classes", None)) is not None:
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


@torch.no_grad()
def try_out(recipe: TrainRecipe, listed: ImageList) -> None:
    """Open a training here and send it an image of each source, before it starts.

    Args:
        recipe: what is trained.
        listed: all images.

    Raises:
        ValueError: sizes differ, the network does not take such an image, or weights
            do not fit where they are read.
        Refused: an image cannot be decoded.
    """
    first = [int(np.argmax(listed.part == part)) for part in np.unique(listed.part)]
    augment = recipe.augment if recipe.augment.kind == "timm" else Nothing()
    words = np.zeros((len(first), WORDS), dtype=np.int64)
    pixels = read(listed, np.array(first), augment, words)
    image = torch.from_numpy(pixels).float() / 255
    device = torch.device("cpu")
    start = load_weights(recipe.start.weights) if recipe.start else None
    network = open_training(recipe, device, start).network.eval()
    recipe.objective.open(Worker(device, load=load_weights))
    predict = recipe.network.predict(network, device)
    time = [torch.zeros(len(image))] if recipe.network.trains == "diffusion" else []
    try:
        predict(image, *time)
    except RuntimeError as error:
        raise ValueError(
            f"A training needs images its network takes; those of channel x height x "
            f"width {tuple(image.shape[1:])} give: {error}. Check data.preprocess and "
            f"the network's settings."
        ) from error
