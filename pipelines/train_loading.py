"""Read, decode and augment the images of a training, ahead of the steps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import ray.data
import torch
from torch import distributed

from ops.augment.augment import Augment
from ops.losses.minibatch import Minibatch
from ops.noise import noise_key, random_words
from pipelines.train_images import ImageList
from pipelines.train_order import Order
from pipelines.train_parts import Loading
from pipelines.train_read import WORDS, Refused, read
from pipelines.train_recipe import TrainRecipe

ROW_BYTES = 8 << 20
"""Pixels that one task hands on at most, but for a single step that has more."""

MOST_STEPS = 128
"""Steps in a row at most, so that the first of them need not wait for many."""

ROWS_AT_ONCE = 500
"""Rows of one execution: Ray keeps some 20 KB in the worker for each."""


@dataclass(frozen=True)
class Share:
    """One worker's part of every step."""

    rank: int
    """Which of the workers, from 0."""

    num_workers: int
    """Workers that share a step."""

    def of(self, batch: int) -> tuple[int, int]:
        """Return where the part begins in a batch, and how many images it has."""
        size = batch // self.num_workers
        return self.rank * size, size


def minibatches(
    recipe: TrainRecipe, images: Any, share: Share, first_step: int
) -> Iterator[Minibatch]:
    """Yield a worker's part of every step from one on, in order.

    Tasks read ahead; which images a step has, and how they are augmented, follows from
    the seed and the step alone.

    Args:
        recipe: seed, batch, augmentation.
        images: reference to the ``ImageList`` in Ray's object store.
        share: which part.
        first_step: index of the first step, from 0.

    Yields:
        Minibatches on the CPU.

    Raises:
        Refused: an image cannot be decoded, or images differ in size.
    """
    listed: ImageList = ray.get(images)
    load = LoadSteps(
        images,
        recipe.augment,
        recipe.seed,
        recipe.optimiser.batch,
        share,
        recipe.extra.share if recipe.extra else None,
    )
    steps = _steps_in_a_row(recipe, listed, share)
    while first_step < recipe.optimiser.steps:
        last = min(recipe.optimiser.steps, first_step + ROWS_AT_ONCE * steps)
        rows = [
            {"step": step, "num_steps": min(steps, last - step)}
            for step in range(first_step, last, steps)
        ]
        for row in _loaded(rows, load, recipe.loading):
            yield from _unpacked(row, recipe, share, listed)
        first_step = last


def _steps_in_a_row(recipe: TrainRecipe, listed: ImageList, share: Share) -> int:
    _, size = share.of(recipe.optimiser.batch)
    pixels = read(listed, np.arange(1), recipe.augment, np.zeros((1, WORDS), np.int64))
    return max(1, min(MOST_STEPS, ROW_BYTES // (size * pixels.nbytes)))


def _loaded(
    rows: list[dict[str, int]], load: "LoadSteps", loading: Loading
) -> Iterator[Mapping[str, Any]]:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.scheduling_strategy = "DEFAULT"  # near the worker, not spread
    data: Any = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        load,
        batch_size=1,
        num_cpus=loading.cpus,
        compute=ray.data.TaskPoolStrategy(loading.tasks),
    )
    yield from data.iter_batches(batch_size=1, prefetch_batches=loading.ahead)


def _unpacked(
    row: Mapping[str, Any], recipe: TrainRecipe, share: Share, listed: ImageList
) -> Iterator[Minibatch]:
    if refusal := _of_any_worker(str(row["refusal"][0])):
        raise Refused(refusal)
    first, _ = share.of(recipe.optimiser.batch)
    # A tensor of its own: arrays out of the object store are read-only.
    pixels = torch.from_numpy(row["pixels"][0].copy())
    positions = row["positions"][0]
    for index in range(len(positions)):
        yield Minibatch(
            image=pixels[index].float() / 255,
            label=torch.from_numpy(listed.label[positions[index]]),
            seed=recipe.seed,
            step=int(row["step"][0]) + index,
            first=first,
            weight=torch.from_numpy(listed.weight[positions[index]]),
        )


def _of_any_worker(refusal: str) -> str:
    """Return the first worker's refusal that has one: all of them end at the same row.

    One that ended alone would leave the others waiting for its gradients.
    """
    if not (distributed.is_initialized() and distributed.get_world_size() > 1):
        return refusal
    told = [""] * distributed.get_world_size()
    distributed.all_gather_object(told, refusal)
    return next((one for one in told if one), "")


@dataclass(frozen=True)
class LoadSteps:
    """Read one worker's part of some steps, inside a task."""

    images: Any
    """Reference to the ``ImageList``."""

    augment: Augment
    seed: int
    batch: int
    share: Share
    extra_share: float | None = None

    def __call__(self, rows: Any) -> dict[str, Any]:
        """Return the pixels of a row's steps, or why there are none.

        Args:
            rows: ``step`` and ``num_steps`` of a single row.

        Returns:
            What :meth:`read_steps` returns, each as a row; both of one 0 beside a
            ``refusal``.
        """
        step, num_steps = int(rows["step"][0]), int(rows["num_steps"][0])
        refusal = ""
        try:
            pixels, positions = self.read_steps(ray.get(self.images), step, num_steps)
        except Refused as error:
            refusal, pixels, positions = str(error), np.zeros(1), np.zeros(1)
        return {
            **rows,
            "pixels": pixels[np.newaxis],
            "positions": positions[np.newaxis],
            "refusal": np.array([refusal]),
        }

    def read_steps(
        self, listed: ImageList, step: int, num_steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the images of some steps.

        Args:
            listed: all images.
            step: index of the first step, from 0.
            num_steps: how many.

        Returns:
            Pixels, uint8 ``step image channel height width``, and which images they
            are, int64 ``step image``.

        Raises:
            Refused: an image cannot be decoded, or has another size than the first.
        """
        places = self._places(step, num_steps)
        order = Order(self.seed, listed.sizes(), self.extra_share)
        positions = np.stack([order.positions(row) for row in places])
        words = self._words(places).reshape(-1, WORDS)
        pixels = read(listed, positions.reshape(-1), self.augment, words)
        return pixels.reshape(*positions.shape, *pixels.shape[1:]), positions

    def _places(self, step: int, num_steps: int) -> np.ndarray:
        """Return places in the endless row of images, ``step image``."""
        first, size = self.share.of(self.batch)
        steps = np.arange(step, step + num_steps)[:, np.newaxis]
        return steps * self.batch + first + np.arange(size)

    def _words(self, places: np.ndarray) -> np.ndarray:
        key = noise_key(self.seed, 0.0, "augment", "train", 0)
        rows = [
            random_words(key, WORDS * int(row[0]), WORDS * len(row)).numpy()
            for row in places
        ]
        return np.stack(rows).reshape(*places.shape, WORDS)
