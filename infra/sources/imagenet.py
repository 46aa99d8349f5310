"""What is known of ImageNet without a copy of it: its classes and its images' names."""

import importlib.util
import json
import re
from functools import cache
from pathlib import Path

WORDNET_ID = re.compile(r"n\d{8}")
"""Name of a class."""

VALIDATION_NAME = re.compile(r"ILSVRC2012_val_(\d{8})")
"""Official name of a validation image; its number counts from 1."""

NUM_VALIDATION = 50_000
"""Validation images."""


@cache
def wordnet_ids() -> tuple[str, ...]:
    """Return the WordNet ids of the 1,000 classes in class order, which is sorted.

    Read from ``timm/data/_info/imagenet_synsets.txt`` of the installed timm, found
    without importing timm.

    Raises:
        ValueError: timm is not installed.
    """
    return tuple(_timm_file("imagenet_synsets.txt").read_text().split())


@cache
def class_indices() -> dict[str, int]:
    """Return the class index of every WordNet id; raises as :func:`wordnet_ids`."""
    return {wordnet_id: index for index, wordnet_id in enumerate(wordnet_ids())}


def class_index(wordnet_id: str, where: str) -> int:
    """Return the class index of a WordNet id.

    Args:
        wordnet_id: such as ``n01440764``.
        where: the place that names it, for the error.

    Raises:
        ValueError: it is none of the 1,000.
    """
    index = class_indices().get(wordnet_id)
    if index is None:
        raise ValueError(
            f"ImageNet needs the WordNet id of one of its {len(wordnet_ids())} "
            f"classes; {where} has {wordnet_id!r}. Check that it is of ILSVRC2012."
        )
    return index


def reassessed_labels() -> list[list[int]]:
    """Return the classes that people saw on each validation image, in official order.

    An image on which they agreed on no class has none.

    Raises:
        ValueError: timm, which brings the list, is not installed.

    Source:
        Beyer, Hénaff, Kolesnikov, Zhai and van den Oord 2020, Are we done with
        ImageNet?, arXiv:2006.07159, ReaL labels.
    """
    return json.loads(_timm_file("imagenet_real_labels.json").read_text())


def _timm_file(name: str) -> Path:
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:
        raise ValueError(
            "ImageNet needs timm's lists of its classes; timm is not installed. "
            "Install timm."
        )
    return Path(spec.origin).parent / "data" / "_info" / name
