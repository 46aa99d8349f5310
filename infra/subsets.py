"""Which images of a data set are certified: named parts of it, and their digest."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from infra.sources.entry import Entry

COHEN_IMAGES = 500
"""Images in the part of a test set that Cohen et al. certify."""

IMAGENET_CLASSES = 1000
"""Classes of a data set whose images are counted in the order of class folders."""

_NAMES = re.compile(
    r"full|cohen500"
    r"|(?:first|stride):[1-9][0-9]*"
    r"|stride:[1-9][0-9]*:(?:0|[1-9][0-9]*)"
    r"|(?:random|stratified):[1-9][0-9]*:(?:0|[1-9][0-9]*)"
)

Positions = Sequence[int]


def require_subset(subset: str) -> str:
    """Return the name of a subset, refused if it means nothing.

    Args:
        subset: ``full``; ``first:n``; ``stride:k``; ``stride:k:s``;
            ``random:n:seed``; ``stratified:n:seed``; or ``cohen500``.

    Raises:
        ValueError: another text, or a number of images below 1.
    """
    if _NAMES.fullmatch(subset) is None:
        raise ValueError(
            f"subset needs full, first:n, stride:k, stride:k:s, random:n:seed, "
            f"stratified:n:seed or cohen500, with n and k of at least 1; it is "
            f"{subset!r}. Write for example first:200 or random:500:0."
        )
    return subset


def select(entries: Sequence[Entry], subset: str) -> list[Entry]:
    """Return the named part of a data set, in the data set's order.

    ``full`` is every image; ``first:n`` the first n; ``stride:k`` those at positions 0,
    k, 2k, and so on; ``stride:k:s`` those at s, s + k, and so on, apart from these if s
    is from 1 to k - 1: all three depend on the order of the data set.

    ``random:n:seed`` takes the n images whose keys have the smallest hash under the
    seed, and ``stratified:n:seed`` does so class by class, with counts as equal as the
    classes allow; the seed decides which classes get one more. Both depend on keys and
    labels alone, not on order or layout, and a smaller n gives a part of a larger one.

    ``cohen500`` is every 100th validation image of ImageNet, every 20th test image of
    CIFAR-10: 500 at equal distances from position 0. ImageNet's positions (a data set
    of 1,000 classes) are those of its class folders, by class and then by key, whatever
    the layout.

    Args:
        entries: all images, in the data set's order, each key once.
        subset: as :func:`require_subset` takes it.

    Raises:
        ValueError: no such name, more images than there are, or a size that 500 does
            not divide.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, section 4: the 500 images.
    """
    kind, *numbers = require_subset(subset).split(":")
    least = int(numbers[0]) if numbers and kind != "stride" else 1
    if least > len(entries):
        raise ValueError(
            f"data.subset {subset!r} needs at least {least} images; the data set has "
            f"{len(entries)}. Choose a smaller subset or full."
        )
    chosen = _CHOICES[kind](entries, *map(int, numbers))
    return [entries[position] for position in sorted(chosen)]


def subset_digest(entries: Sequence[Entry]) -> str:
    """Return a digest of which images were chosen, with which labels.

    Args:
        entries: the chosen images, in any order.

    Returns:
        SHA-256, in hexadecimal, of the pairs (key, label) as JSON, sorted by key: the
        same for the same images in every layout.
    """
    pairs = sorted((entry.key, entry.label) for entry in entries)
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


def _full(entries: Sequence[Entry]) -> Positions:
    return range(len(entries))


def _first(entries: Sequence[Entry], number: int) -> Positions:
    return range(number)


def _stride(entries: Sequence[Entry], stride: int, first: int = 0) -> Positions:
    return range(first, len(entries), stride)


def _random(entries: Sequence[Entry], number: int, seed: int) -> Positions:
    def rank(position: int) -> bytes:
        return _hash(seed, entries[position].key)

    return sorted(range(len(entries)), key=rank)[:number]


def _stratified(entries: Sequence[Entry], number: int, seed: int) -> Positions:
    """Take one image of every class in turn, the classes in the seed's order."""
    by_class: dict[int, list[int]] = {}
    for position in _random(entries, len(entries), seed):
        by_class.setdefault(entries[position].label, []).append(position)
    classes = sorted(by_class, key=lambda label: _hash(seed, f"class {label}"))
    return list(_in_turn([by_class[label] for label in classes]))[:number]


def _in_turn(queues: Sequence[Sequence[int]]) -> Iterator[int]:
    for turn in range(max(map(len, queues))):
        yield from (queue[turn] for queue in queues if turn < len(queue))


def _cohen500(entries: Sequence[Entry]) -> Positions:
    if len(entries) % COHEN_IMAGES:
        raise ValueError(
            f"data.subset 'cohen500' needs a data set whose size is a multiple of "
            f"{COHEN_IMAGES}, as ImageNet's 50,000 validation and CIFAR-10's 10,000 "
            f"test images; the data set has {len(entries)}. Take the whole set, or "
            f"another subset."
        )
    positions = list(range(len(entries)))
    if len({entry.label for entry in entries}) == IMAGENET_CLASSES:
        positions.sort(key=lambda at: (entries[at].label, entries[at].key))
    return positions[:: len(entries) // COHEN_IMAGES]


def _hash(seed: int, text: str) -> bytes:
    """Return what ranks a text under a seed, as if drawn at random."""
    return hashlib.blake2b(f"{seed}|{text}".encode(), digest_size=16).digest()


_CHOICES: Mapping[str, Callable[..., Positions]] = {
    "full": _full,
    "first": _first,
    "stride": _stride,
    "random": _random,
    "stratified": _stratified,
    "cohen500": _cohen500,
}
