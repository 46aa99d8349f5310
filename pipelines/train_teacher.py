"""Labels that a classifier gives images of unknown class, before a training."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data
import torch

from ops.augment.nothing import Nothing
from ops.classify.classifier import Classifier
from ops.columns import Worker, in_batches
from pipelines.identity import without_places
from pipelines.train_images import ImageList, images_digest
from pipelines.train_parts import Extra, TrainWorkers
from pipelines.train_read import WORDS, Refused, read
from pipelines.train_recipe import TrainRecipe
from pipelines.worker import load_weights

EXTRA = 1
"""Which of an ``ImageList``'s sources the extra images are."""

_IMAGES_AT_ONCE = 500


def labelled(recipe: TrainRecipe, listed: ImageList, cache: Path) -> ImageList:
    """Return the images with the labels that the recipe's teacher gives the extra ones.

    Labels are kept in the cache under a name that follows from teacher and images.

    Args:
        recipe: with the teacher's weights found.
        listed: all images; the labels of the extra ones are not read.
        cache: folder of all trained weights.

    Raises:
        ValueError: an image cannot be decoded, or has another size than the others.
    """
    extra = recipe.extra
    if extra is None or extra.teacher is None:
        return listed
    positions = np.flatnonzero(listed.part == EXTRA)
    path = cache / "labels" / f"{_name(extra, listed)}.npy"
    if not path.exists():
        label = _guessed(extra.teacher, recipe.workers, listed, positions)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, label)
    return listed.labelled(EXTRA, np.load(path))


def _name(extra: Extra, listed: ImageList) -> str:
    assert extra.teacher is not None  # the caller looked
    content = {
        "teacher": without_places(extra.teacher.model_dump(mode="json")),
        "images": images_digest(listed),
    }
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _write(path: Path, label: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, label)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content.getvalue())
    partial.replace(path)


def _guessed(
    teacher: Classifier,
    workers: TrainWorkers,
    listed: ImageList,
    positions: np.ndarray,
) -> np.ndarray:
    starts = range(0, len(positions), _IMAGES_AT_ONCE)
    rows = [{"positions": positions[at : at + _IMAGES_AT_ONCE]} for at in starts]
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Teacher,
        fn_constructor_args=(ray.put(listed), teacher, workers.gpus > 0),
        batch_size=1,
        num_cpus=workers.cpus,
        num_gpus=workers.gpus or None,
        compute=ray.data.ActorPoolStrategy(size=1),
    )
    found = [(row["label"], str(row["refusal"])) for row in data.iter_rows()]
    for _, refusal in found:
        if refusal:
            raise ValueError(refusal)
    return np.concatenate([label for label, _ in found])


class Teacher:
    """Classifies images inside an actor."""

    def __init__(self, images: Any, classifier: Classifier, use_gpu: bool) -> None:
        device = torch.device("cuda" if use_gpu else "cpu")
        self.worker = Worker(device, load=load_weights)
        self.listed: ImageList = ray.get(images) if images else images
        self.classify = classifier.open(self.worker)

    @torch.no_grad()
    def __call__(self, rows: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return the classes of a row's images, or why there are none."""
        positions = rows["positions"][0]
        words = np.zeros((len(positions), WORDS), dtype=np.int64)
        try:
            pixels = read(self.listed, positions, Nothing(), words)
        except Refused as error:
            return {"label": np.zeros((1, 1), np.int64), "refusal": [str(error)]}
        image = torch.from_numpy(pixels).to(self.worker.device).float() / 255
        guessed = in_batches(self.classify, image, self.worker.batch).argmax(dim=1)
        return {"label": guessed.cpu().numpy()[np.newaxis], "refusal": [""]}
