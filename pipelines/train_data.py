"""The images of a training, and their order."""

import math

import numpy as np
import torch

from infra.images import decode
from infra.subsets import select
from ops.losses.minibatch import Minibatch
from ops.noise import noise_key, random_words
from pipelines.data import Data
from pipelines.train_recipe import TrainRecipe

Images = tuple[np.ndarray, np.ndarray]
"""float32 ``image channel height width`` in [0, 1], and int64 labels."""


def read_images(data: Data) -> Images:
    """Read a whole data set into memory.

    Args:
        data: images of one size.

    Returns:
        Images as they are certified, and their labels.
    """
    entries = select(data.source.entries(), data.subset)
    contents = data.source.read(entries)
    images = [
        decode(content, data.preprocess, key=entry.key)
        for entry, content in zip(entries, contents, strict=True)
    ]
    labels = np.array([entry.label for entry in entries], dtype=np.int64)
    return np.stack(images), labels


def minibatch_of(
    recipe: TrainRecipe, step: int, image: torch.Tensor, label: torch.Tensor
) -> Minibatch:
    """Return the images of one step, for all workers together.

    Every image comes once in each pass over the data, in an order of the pass's own;
    a batch may span two passes.

    Args:
        recipe: seed and size of a batch.
        step: index of the step, from 0.
        image: all images of the data set.
        label: their classes.
    """
    first = step * recipe.optimiser.batch
    position = np.arange(first, first + recipe.optimiser.batch)
    passes, place = np.divmod(position, len(image))
    chosen = np.empty_like(position)
    for number in np.unique(passes):
        order = _order(recipe.seed, int(number), len(image))
        chosen[passes == number] = order[place[passes == number]]
    index = torch.from_numpy(chosen)
    return Minibatch(image[index], label[index], recipe.seed, step)


def _order(seed: int, number: int, num_images: int) -> np.ndarray:
    key = noise_key(seed, 0.0, "order", "train", number)
    words = random_words(key, 0, 4 * math.ceil(num_images / 4))
    return words.numpy()[:num_images].argsort(kind="stable")
