"""The order in which ImageNet's own files number the classes, and their labels."""

import io
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from infra.sources.files import read_file
from infra.sources.imagenet import (
    NUM_VALIDATION,
    class_indices,
    reassessed_labels,
    wordnet_ids,
)

_LEAST_AGREEMENT = 0.5
"""Share of images whose label people confirmed. The official labels reach 0.9; classes
in another order, or labels beside the wrong images, 0.001."""


def read_class_order(place: str) -> tuple[int, ...]:
    """Return the class index of each of the devkit's numbers 1 to 1,000, from 0 on.

    Args:
        place: ``meta.mat`` of the ILSVRC2012 devkit, or ``map_clsloc.txt``, whose
            lines are ``n02119789 1 kit_fox``; local or ``s3://``.

    Raises:
        ValueError: the file is not there, cannot be read, or does not number the 1,000
            classes from 1 to 1,000 in an order other than that of the WordNet ids.
    """
    data = read_file(
        place, needed_as="A class order needs map_clsloc.txt or the devkit's meta.mat"
    )
    if place.endswith(".mat"):
        numbered = _from_meta(data, place)
    else:
        numbered = _from_lines(data, place)
    return _as_order(numbered, place)


def read_ground_truth(place: str, order: Sequence[int]) -> list[int]:
    """Return the class index of each validation image, in the order of their names.

    A file with a line for each of the 50,000 images is held against what people saw
    on them, so that classes in a wrong order are found out.

    Args:
        place: ``ILSVRC2012_validation_ground_truth.txt``; local or ``s3://``.
        order: as :func:`read_class_order` returns it.

    Raises:
        ValueError: the file is not there, a line is no class, or the labels are not
            those of the images.
    """
    data = read_file(place, needed_as="flat_devkit needs the devkit's ground truth")
    labels = [
        _label(line, order, f"{place} line {number}")
        for number, line in enumerate(data.decode("latin-1").split(), start=1)
    ]
    if len(labels) == NUM_VALIDATION:
        _check_agreement(labels, place)
    return labels


def numbered_class(number: int, order: Sequence[int], where: str) -> int:
    """Return the class index of one of the devkit's numbers.

    Args:
        number: from 1 on.
        order: as :func:`read_class_order` returns it.
        where: the row, for the error.

    Raises:
        ValueError: there is no such number.
    """
    if not 1 <= number <= len(order):
        unlabelled = " (the unlabelled test split has -1)" if number == -1 else ""
        raise ValueError(
            f"ImageNet's own files need class numbers from 1 to {len(order)}; {where} "
            f"has {number}{unlabelled}. Take the labelled validation split of "
            f"ILSVRC2012, or fetch the file again."
        )
    return order[number - 1]


def _label(line: str, order: Sequence[int], where: str) -> int:
    try:
        number = int(line)
    except ValueError as error:
        raise ValueError(
            f"The devkit's ground truth needs a number a line; {where} has {line!r}. "
            f"Fetch the devkit of ILSVRC2012 again."
        ) from error
    return numbered_class(number, order, where)


def _check_agreement(labels: Sequence[int], place: str) -> None:
    seen = [
        label in classes
        for label, classes in zip(labels, reassessed_labels(), strict=True)
        if classes
    ]
    agreement = sum(seen) / len(seen)
    if agreement < _LEAST_AGREEMENT:
        raise ValueError(
            f"The devkit needs labels that fit the validation images; by {place} and "
            f"its meta.mat {agreement:.1%} of them show their class, of the official "
            f"labels 90%. Take both files from one ILSVRC2012 devkit."
        )


def _from_meta(data: bytes, place: str) -> Mapping[int, str]:
    # Deferred: of use to this layout only.
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        synsets: Any = loadmat(io.BytesIO(data), squeeze_me=True)["synsets"]
        numbers, names = synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist()
        pairs = [(int(n), str(name)) for n, name in zip(numbers, names, strict=True)]
    # What SciPy raises for damaged files, and NumPy for other tables.
    except (
        MatReadError,
        NotImplementedError,
        zlib.error,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise _no_order(place, f"cannot be read: {error}") from error
    # Numbers above 1,000 are groups of classes.
    return _once_each([pair for pair in pairs if pair[0] <= len(wordnet_ids())], place)


def _from_lines(data: bytes, place: str) -> Mapping[int, str]:
    pairs = []
    for number, line in enumerate(data.decode("latin-1").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2 or not words[1].isdecimal():
            raise _no_order(place, f"has {line!r} in line {number}")
        pairs.append((int(words[1]), words[0]))
    return _once_each(pairs, place)


def _once_each(pairs: Sequence[tuple[int, str]], place: str) -> Mapping[int, str]:
    numbered = dict(pairs)
    if len(numbered) != len(pairs):
        raise _no_order(place, "gives one number to several classes")
    return numbered


def _as_order(numbered: Mapping[int, str], place: str) -> tuple[int, ...]:
    known = class_indices()
    if sorted(numbered) != list(range(1, len(known) + 1)):
        raise _no_order(place, f"has {len(numbered)} numbers, not 1 to {len(known)}")
    for number, name in sorted(numbered.items()):
        if name not in known:
            raise _no_order(place, f"gives number {number} to {name!r}")
    order = tuple(known[numbered[number]] for number in sorted(numbered))
    if len(set(order)) != len(known):
        raise _no_order(place, "gives several numbers to one class")
    if order == tuple(range(len(known))):
        raise _no_order(place, "has them in the order of the WordNet ids, another one")
    return order


def _no_order(place: str, has: str) -> ValueError:
    return ValueError(
        f"A class order needs the 1,000 WordNet ids of ILSVRC2012, numbered as its "
        f"devkit does; {place} {has}. Take map_clsloc.txt, or meta.mat of the devkit."
    )
