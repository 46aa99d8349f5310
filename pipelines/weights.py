"""Weights of a run: trained if a recipe makes them, hashed, and tried in the driver."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from infra.weights.digest import digest
from infra.weights.hub import cached
from infra.weights.load import licence_of
from ops.columns import Batch, Worker
from ops.purify.unet import refuse_openai_layout
from ops.vote.streams import CLEAN
from ops.weights import WeightsRef
from pipelines.recipe import Recipe, Run
from pipelines.stages import ops_of, run_op
from pipelines.train import ensure_all_trained
from pipelines.worker import load_weights

_PARTS = ("purifier", "classifier")


def references(run: Run) -> dict[str, WeightsRef]:
    """Return the weights a run names, by the part that needs them."""
    parts = {name: getattr(run, name) for name in _PARTS}
    return {n: part.weights for n, part in parts.items() if hasattr(part, "weights")}


def training_recipes(recipe: Recipe) -> list[str]:
    """Return the training recipes whose weights a recipe asks for, each once."""
    named = [
        reference.recipe
        for run in recipe.runs
        for reference in references(run).values()
        if reference.recipe is not None
    ]
    return list(dict.fromkeys(named))


def require_files(recipe: Recipe) -> None:
    """Refuse a recipe whose files are missing or others, before anything is trained.

    Args:
        recipe: as loaded.

    Raises:
        ValueError: a file is another than the one whose sha256 the recipe names, or
            has to be converted first.
        FileNotFoundError: a file is not there.
    """
    for run in recipe.runs:
        for reference in references(run).values():
            if reference.path is not None or reference.hub is not None:
                resolved = _resolve_reference(reference, {})
                refuse_openai_layout(load_weights(resolved))


def resolve(recipe: Recipe) -> Recipe:
    """Return a recipe whose weights are files with digests; train what is missing.

    Args:
        recipe: as loaded.

    Raises:
        ValueError: a file is another than the one whose sha256 the recipe names.
        FileNotFoundError: a file is not there.
    """
    names = training_recipes(recipe)
    trained = dict(zip(names, ensure_all_trained(names), strict=True)) if names else {}
    runs = tuple(_resolve_run(run, trained) for run in recipe.runs)
    return recipe.model_copy(update={"runs": runs})


def _resolve_run(run: Run, trained: Mapping[str, Path]) -> Run:
    changed = {}
    for name, reference in references(run).items():
        part = getattr(run, name)
        changed[name] = part.model_copy(
            update={"weights": _resolve_reference(reference, trained)}
        )
    return run.model_copy(update=changed)


def _resolve_reference(
    reference: WeightsRef, trained: Mapping[str, Path]
) -> WeightsRef:
    if reference.untrained is not None:
        return reference
    path = _place(reference, trained)
    try:
        found = digest(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"weights needs a file or folder; {path} has none. Correct "
            f"weights.path, or fetch the file to every node."
        ) from error
    if reference.sha256 not in (None, found):
        raise ValueError(
            f"weights needs the file with sha256 {reference.sha256}; {path} "
            f"has {found}. Take the file the recipe was written for, or drop sha256."
        )
    return WeightsRef(
        path=path,
        format=reference.format,
        sha256=found,
        licence=_licence(reference, path),
    )


def _place(reference: WeightsRef, trained: Mapping[str, Path]) -> str:
    if reference.hub is not None:
        return str(cached(reference.hub, reference.revision))
    if reference.recipe is not None:
        return str(trained[reference.recipe])
    assert reference.path is not None  # one of the four is set, and three were handled
    return reference.path


def _licence(reference: WeightsRef, path: str) -> str | None:
    """Return the licence that the recipe or the file says, refused if they differ."""
    said = licence_of(path, reference.format)
    if None not in (said, reference.licence) and said != reference.licence:
        raise ValueError(
            f"weights needs one licence; the recipe has {reference.licence!r}, and "
            f"{path} has {said!r}. Drop weights.licence, or convert the file again."
        )
    return reference.licence or said


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
