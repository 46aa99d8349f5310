"""Weights of a run: trained if a recipe makes them, hashed, and tried in the driver."""

import numpy as np
import torch

from ops.columns import Batch, Worker
from ops.purify.unet import refuse_openai_layout
from ops.vote.streams import CLEAN
from pipelines.recipe import Recipe, Run
from pipelines.references import named_recipes, references_in, with_references
from pipelines.stages import ops_of, run_op
from pipelines.train import ensure_all_trained
from pipelines.weight_files import Named, found
from pipelines.worker import load_weights


def training_recipes(recipe: Recipe) -> list[Named]:
    """Return the training recipes whose weights a recipe asks for, each once.

    Args:
        recipe: as loaded.

    Returns:
        Names or paths, with the settings applied to each.
    """
    return named_recipes(recipe)


def require_files(recipe: Recipe) -> None:
    """Refuse a recipe whose files are missing or others, before anything is trained.

    Args:
        recipe: as loaded.

    Raises:
        ValueError: a file is another than the one whose sha256 the recipe names, or
            has to be converted first.
        FileNotFoundError: a file is not there.
    """
    for reference in dict.fromkeys(references_in(recipe).values()):
        if reference.path is not None or reference.hub is not None:
            refuse_openai_layout(load_weights(found(reference, {})))


def resolve(recipe: Recipe) -> Recipe:
    """Return a recipe whose weights are files with digests; train what is missing.

    Args:
        recipe: as loaded.

    Raises:
        ValueError: a file is another than the one whose sha256 the recipe names.
        FileNotFoundError: a file is not there.
    """
    named = training_recipes(recipe)
    trained = dict(zip(named, ensure_all_trained(named), strict=True)) if named else {}
    places = references_in(recipe)
    resolved = {one: found(one, trained) for one in dict.fromkeys(places.values())}
    changed = {place: resolved[one] for place, one in places.items()}
    return with_references(recipe, changed)


def try_out(run: Run, image: np.ndarray, key: str) -> None:
    """Send one image through a run's ops here, so that misfits are told at once.

    Args:
        run: with its weights resolved.
        image: float32 ``channel height width`` in [0, 1].
        key: the image's name, for the error.

    Raises:
        ValueError: weights do not fit the network, or the network not the image.
    """
    worker = Worker(torch.device("cpu"), batch=1, load=load_weights)
    columns: Batch = {
        "image": image[None],
        "image_key": [key],
        "stream": [CLEAN],
        "block": [0],
    }
    for op in ops_of(run):
        function = op.open(worker)
        try:
            columns = run_op(function, columns)
        except RuntimeError as error:
            raise ValueError(
                f"{type(op).__name__} needs images its network takes; {key!r} of "
                f"channel x height x width {tuple(image.shape)} gives: {error}. Check "
                f"data.preprocess, and the purifier's and classifier's settings."
            ) from error
