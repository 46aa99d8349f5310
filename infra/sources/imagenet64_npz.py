"""ImageNet at 64x64 pixels as Chrabaszcz et al. give it, in ``.npz`` files."""

import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import BaseModel

from infra.object_store import Store
from infra.sources.content import from_planes
from infra.sources.devkit import numbered_class, read_class_order
from infra.sources.entry import Entry, checked, report_missing
from infra.sources.files import Place, find, folder_of, split_file, uri_of
from infra.sources.imagenet import wordnet_ids
from infra.sources.locations import Location, read_locations
from infra.sources.npz_index import Rows, find_rows, load_array

_ENDING = ".npz"
_SIDE = 64
_PIXELS = 3 * _SIDE * _SIDE
_LOADING = threading.Lock()


class Imagenet64Npz(BaseModel, frozen=True, extra="forbid"):
    """Arrays ``data``, uint8 ``image 12288`` in planes, and ``labels``, 1 to 1,000.

    Labels number the classes in the order of ``map_clsloc.txt``, which is the devkit's
    and not that of the WordNet ids, so that file has to be given. The files do not tell
    official names: a key is ``{split}_{index:05d}``, where the index counts over all
    files in the order of their names. An image is read by its place in the file; from
    a compressed file only after the whole array is loaded, once per process.

    Source:
        Chrabaszcz, Loshchilov and Hutter 2017, A Downsampled Variant of ImageNet as
        an Alternative to the CIFAR datasets, arXiv:1707.08819.
    """

    source: Literal["imagenet64_npz"] = "imagenet64_npz"

    path: Place
    """File such as ``val_data.npz``, pattern with ``*``, or folder of
    ``{split}_data*.npz``; local or ``s3://``."""

    class_order: Place
    """``map_clsloc.txt``, or ``meta.mat`` of the ILSVRC2012 devkit."""

    split: str = "val"
    """Name of the split: chooses the files of a folder and begins every key."""

    dataset: str | None = None
    """Name under which results are reported; ``None`` stands for ``imagenet64``."""

    @property
    def name(self) -> str:
        """Name under which results are reported."""
        return self.dataset or "imagenet64"

    def entries(self) -> list[Entry]:
        """List the images; reads labels and no image.

        Raises:
            ValueError: there is no file, one holds other arrays or pickled objects, a
                label is no class, or the class order does not hold.
        """
        order = read_class_order(self.class_order)
        inside = [f"{self.split}_data*{_ENDING}"]
        files = find(self.path, ending=_ENDING, inside=inside)
        found: list[Entry] = []
        for name in files.names:
            for number, where in _list_file(files.store, name):
                row = f"{uri_of(files.store, name)} row {where[1]}"
                label = numbered_class(number, order, row)
                key = f"{self.split}_{len(found):05d}"
                found.append(Entry(key, label, where))
        checked(found, self.path)
        report_missing(found, self.classes(found), self.path)
        return found

    def classes(self, _entries: Sequence[Entry]) -> Sequence[str]:
        """Return the WordNet ids in class order."""
        return wordnet_ids()

    def locate(self, entry: Entry) -> Location:
        """Return the file that holds an image, which is no run of bytes of it."""
        store = folder_of(self.path, ending=_ENDING)
        return Location(uri_of(store, entry.where[0]))

    def read(self, entries: Sequence[Entry]) -> list[np.ndarray]:
        """Return the images as uint8 ``height width channel``, in the order asked."""
        places = [self.locate(entry).uri for entry in entries]
        ranges = [
            Location(uri, entry.where[2], _PIXELS)
            for uri, entry in zip(places, entries, strict=True)
            if entry.where[2] is not None
        ]
        stored = iter(read_locations(ranges))
        return [
            from_planes(
                next(stored) if entry.where[2] is not None else _row(uri, entry), _SIDE
            )
            for uri, entry in zip(places, entries, strict=True)
        ]


Where = tuple[str, int, int | None]
"""File, row, and first byte of the image in the file; ``None`` if compressed."""


def _list_file(store: Store, name: str) -> Iterator[tuple[int, Where]]:
    """Yield the number of the class of each image of a file, and where the image is."""
    uri = uri_of(store, name)
    with store.open(name) as file:
        rows = find_rows(file, "data", uri)
        labels = load_array(file, "labels", uri)
    if not _fits(rows, labels):
        raise ValueError(
            f"imagenet64_npz needs data as uint8 of shape (images, {_PIXELS}) and as "
            f"many whole labels; {uri} has data {rows.dtype} {rows.shape} and labels "
            f"{labels.dtype} {labels.shape}. Take the files for 64x64 pixels."
        )
    for row, number in enumerate(labels.tolist()):
        start = None if rows.offset is None else rows.offset + row * _PIXELS
        yield number, (name, row, start)


def _fits(rows: Rows, labels: np.ndarray) -> bool:
    return (
        rows.dtype == np.uint8
        and rows.shape[1:] == (_PIXELS,)
        and labels.shape == rows.shape[:1]
        and labels.dtype.kind in "iu"
    )


def _row(uri: str, entry: Entry) -> bytes:
    with _LOADING:  # or every reading thread would load the array for itself
        return _loaded(uri)[entry.where[1]].tobytes()


@lru_cache(maxsize=1)
def _loaded(uri: str) -> np.ndarray:
    store, name = split_file(uri)
    with store.open(name) as file:
        return load_array(file, "data", uri)
