"""One image of a data set before it is read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """What the driver knows of an image: its name, its class and where it lies."""

    key: str
    """Official name; stands for the image whatever its position."""

    label: int
    """Class index, at least 0."""

    where: Any
    """Locator that the same source's ``read`` understands; picklable."""


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
