"""CIFAR-10 in its binary version: a byte of label and 3,072 of pixels an image."""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel

from infra.object_store import Store, open_store
from infra.sources.content import from_planes
from infra.sources.entry import Entry, check_label, checked, report_missing
from infra.sources.files import Place, uri_of
from infra.sources.locations import Location, read_locations

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
_RECORD = 1 + _PIXELS
_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_FILES = {
    "test": re.compile(r"(?:.*/)?test_batch\.bin"),
    "train": re.compile(r"(?:.*/)?data_batch_(\d+)\.bin"),
}


class Cifar10Binary(BaseModel, frozen=True, extra="forbid"):
    """``test_batch.bin`` and ``data_batch_1.bin`` to ``data_batch_5.bin``.

    A key is ``{split}_{index:05d}``, where the index counts over all files of the
    split: the official index. An image is read by its place in the file.

    Source:
        Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; the
        data set's page, Binary version.
    """

    source: Literal["cifar10_binary"] = "cifar10_binary"

    path: Place
    """Folder of the files, ``cifar-10-batches-bin``, or the one above it; local or
    ``s3://``."""

    split: Literal["train", "test"] = "test"
    """Which files; begins every key."""

    dataset: str | None = None
    """Name under which results are reported; ``None`` stands for ``cifar10``."""

    @property
    def name(self) -> str:
        """Name under which results are reported."""
        return self.dataset or "cifar10"

    def entries(self) -> list[Entry]:
        """List the images; reads each file once for its labels.

        Raises:
            ValueError: there is no file of the split, one is missing, a file is no
                whole number of records, or a label is no class.
        """
        store = open_store(self.path)
        found: list[Entry] = []
        for name in self._names(store):
            for row, label in enumerate(_labels(store, name)):
                check_label(label, len(_CLASSES), where=f"{name} record {row}")
                found.append(
                    Entry(f"{self.split}_{len(found):05d}", label, (name, row))
                )
        checked(found, self.path)
        report_missing(found, self.classes(found), self.path)
        return found

    def classes(self, _entries: Sequence[Entry]) -> Sequence[str]:
        """Return the names of the classes in class order."""
        return _CLASSES

    def locate(self, entry: Entry) -> Location:
        """Return the file that holds an image, which is no run of bytes of it."""
        return Location(uri_of(open_store(self.path), entry.where[0]))

    def read(self, entries: Sequence[Entry]) -> list[np.ndarray]:
        """Return the images as uint8 ``height width channel``, in the order asked."""
        records = read_locations(
            [
                Location(self.locate(entry).uri, 1 + _RECORD * entry.where[1], _PIXELS)
                for entry in entries
            ]
        )
        return [from_planes(record, _SIDE) for record in records]

    def _names(self, store: Store) -> list[str]:
        """Return the files of the split in their order."""
        matched = [(name, _FILES[self.split].fullmatch(name)) for name in store.names()]
        found = {name: match for name, match in matched if match is not None}
        if len({name.rpartition("/")[0] for name in found}) != 1:
            raise ValueError(
                f"cifar10_binary needs the .bin files of split {self.split!r} in one "
                f"folder; {self.path} has {list(found)[:5] or 'none'}. Unpack "
                f"cifar-10-binary.tar.gz there, or set data.path."
            )
        if self.split == "test":
            return list(found)
        numbers = {int(match[1]): name for name, match in found.items()}
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            raise ValueError(
                f"cifar10_binary needs data_batch_1.bin and on without a gap, because "
                f"images are numbered over all of them; {self.path} has numbers "
                f"{sorted(numbers)}. Fetch the missing files."
            )
        return [numbers[number] for number in sorted(numbers)]


def _labels(store: Store, name: str) -> list[int]:
    data = store.read(name)
    if not data or len(data) % _RECORD:
        raise ValueError(
            f"cifar10_binary needs records of {_RECORD} bytes; {uri_of(store, name)} "
            f"has {len(data)} bytes, {len(data) % _RECORD} more than whole records. "
            f"Fetch the file again; CIFAR-100 and the Python version are other layouts."
        )
    return np.frombuffer(data, np.uint8)[::_RECORD].tolist()
