"""A few images of a data set, on which a recipe is tried."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch

from infra.images import UnreadableImage, decode
from infra.sources.entry import Entry
from pipelines.data import Data

STREAM = "doctor"
"""Noise of its own, so that no certificate rests on an image's probe."""


@dataclass(frozen=True)
class Sample:
    """A few images of a data set, decoded."""

    keys: tuple[str, ...]
    """Official names."""

    labels: tuple[int, ...]
    """True classes."""

    images: tuple[np.ndarray, ...]
    """float32 ``channel height width`` in [0, 1]; shapes may differ."""


def decoded_sample(
    data: Data, entries: Sequence[Entry], *, asked_by: str
) -> tuple[Sample, list[str]]:
    """Read and decode a few images.

    Args:
        data: where they are, and how they are cropped.
        entries: which.
        asked_by: verb, for the error.

    Returns:
        Those that can be decoded, and the keys of the others.

    Raises:
        ValueError: none can be.
    """
    contents = data.source.read(entries)
    good, unreadable = [], []
    for entry, content in zip(entries, contents, strict=True):
        try:
            good.append((entry, decode(content, data.preprocess, key=entry.key)))
        except UnreadableImage:
            unreadable.append(entry.key)
    if not good:
        raise ValueError(
            f"{asked_by} needs images it can decode; none of {len(entries)} can be. "
            f"Check data.path."
        )
    sample = Sample(
        keys=tuple(entry.key for entry, _ in good),
        labels=tuple(entry.label for entry, _ in good),
        images=tuple(image for _, image in good),
    )
    return sample, unreadable


def stacks(sample: Sample, batch: int) -> Iterator[dict[str, Any]]:
    """Yield the images in their order, in stacks of one shape, as columns.

    Args:
        sample: the images.
        batch: images in a stack at most.
    """
    rows = range(len(sample.keys))
    for _, group in groupby(rows, lambda row: sample.images[row].shape):
        alike = list(group)
        for start in range(0, len(alike), batch):
            part = alike[start : start + batch]
            yield {
                "image": np.stack([sample.images[row] for row in part]),
                "image_key": [sample.keys[row] for row in part],
                "stream": [STREAM] * len(part),
                "block": [0] * len(part),
            }


def classes_of(
    classify: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor
) -> list[int]:
    """Return the class of each image."""
    return classify(images).argmax(dim=1).tolist()


def psnr(changed: torch.Tensor, image: torch.Tensor) -> list[float]:
    """Return the peak signal-to-noise ratio of each image, in dB."""
    error = (changed - image).double().square().flatten(1).mean(dim=1)
    return (-10 * error.clamp_min(1e-12).log10()).tolist()
