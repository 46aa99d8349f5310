"""One image of a data set before it is read."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)

_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """What the driver knows of an image: its name, its class and where it lies."""

    key: str
    """Official name; stands for the image whatever its position."""

    label: int
    """Class index, at least 0."""

    where: Any
    """Locator that the same source's ``read`` understands; picklable."""

    sha256: str | None = None
    """Of the content as stored, in hexadecimal, where it is known without reading."""


def checked(entries: Sequence[Entry], source: str) -> list[Entry]:
    """Return the entries of a whole data set after the checks all sources share.

    Args:
        entries: images in the data set's order.
        source: what to call the data set in an error.

    Raises:
        ValueError: there is no image, or two have the same key.
    """
    if not entries:
        raise ValueError(
            f"A data set needs images; {source} has none. Check its path and split."
        )
    key, times = Counter(entry.key for entry in entries).most_common(1)[0]
    if times > 1:
        raise ValueError(
            f"A data set needs one name per image; {source} has {key!r} {times} times. "
            f"Give its files different names."
        )
    return list(entries)


def check_label(label: int | None, num_classes: int, *, where: str) -> None:
    """Refuse a label that is no class.

    Args:
        label: class index as stored.
        num_classes: classes that there are, at least 1.
        where: the row, as an error should call it.

    Raises:
        ValueError: the label is missing, negative or not below ``num_classes``.
    """
    if label is None or not 0 <= label < num_classes:
        unlabelled = "" if label != -1 else " (the unlabelled test split has -1)"
        raise ValueError(
            f"A data set needs labels in [0, {num_classes}); {where} has {label}"
            f"{unlabelled}. Take a labelled split, for ImageNet validation, or set "
            f"num_classes."
        )


def missing_classes(entries: Sequence[Entry], classes: Sequence[str]) -> list[str]:
    """Return the names of the classes of which there is no image, in class order.

    Args:
        entries: all images of the data set.
        classes: names of its classes, in class order.
    """
    there = {entry.label for entry in entries}
    return [name for index, name in enumerate(classes) if index not in there]


def report_missing(
    entries: Sequence[Entry], classes: Sequence[str], source: str
) -> None:
    """Log how many classes have no image, and the first few of them.

    Args:
        entries: all images of the data set.
        classes: names of its classes, in class order.
        source: what to call the data set.
    """
    if missing := missing_classes(entries, classes):
        logger.warning(
            "%s has no image of %d of its %d classes: %s. The classes keep their "
            "numbers; accuracies are over those that are there.",
            source,
            len(missing),
            len(classes),
            some(missing),
        )


def some(names: Sequence[str]) -> str:
    """Return names as text, only the first few of many."""
    more = len(names) - _NAMED_AT_MOST
    listed = ", ".join(names[:_NAMED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed
