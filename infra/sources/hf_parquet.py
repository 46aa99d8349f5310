"""Data sets as Parquet in the layout of the Hugging Face hub."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, PositiveInt

from infra.object_store import Store
from infra.sources.entry import Entry, check_label, checked, report_missing
from infra.sources.files import Place, find, folder_of, uri_of
from infra.sources.imagenet import VALIDATION_NAME
from infra.sources.locations import Location

_ENDING = ".parquet"
_INSIDE = "{}.parquet", "{}-*.parquet", "*/{}-*.parquet"
"""Names of a split's files in a folder."""


_OFFICIAL = re.compile(rf"({VALIDATION_NAME.pattern})(?:_n\d{{8}})?\.")
"""How files of ImageNet's validation are called, on the hub with their WordNet id."""


class HfParquet(BaseModel, frozen=True, extra="forbid"):
    """Encoded images in a column ``struct<bytes, path>`` beside an integer label.

    A key is the official name where an image's path has one of ImageNet's, else
    ``{split}_{index:05d}``, where the index counts over all files of the split in the
    order of their names: the official index.
    """

    source: Literal["hf_parquet"] = "hf_parquet"

    path: Place
    """File, pattern with ``*``, or folder of ``{split}.parquet`` or
    ``{split}-*.parquet``; local or ``s3://``."""

    split: str = "test"
    """Name of the split: chooses the files of a folder and begins every key."""

    image_column: str = "img"
    """Column with the encoded images; ``image`` for ImageNet."""

    label_column: str = "label"
    """Column with the class indices."""

    num_classes: PositiveInt = 10
    """Classes that there are; a label outside is refused."""

    dataset: str | None = None
    """Name under which results are reported; ``None`` stands for ``hf_parquet``."""

    @property
    def name(self) -> str:
        """Name under which results are reported."""
        return self.dataset or "hf_parquet"

    def entries(self) -> list[Entry]:
        """List the images; reads the label column and no image.

        Raises:
            ValueError: there is no file or image, a column is missing, or a label is no
                class.
        """
        store, names = self._files()
        found = checked(list(self._list(store, names)), self.path)
        report_missing(found, self.classes(found), self.path)
        return found

    def classes(self, _entries: Sequence[Entry]) -> Sequence[str]:
        """Return the names of the classes in class order: their numbers."""
        return [str(index) for index in range(self.num_classes)]

    def locate(self, entry: Entry) -> Location:
        """Return the file that holds an image, which is no run of bytes of it."""
        return Location(uri_of(self._folder(), entry.where[0]))

    def read(self, entries: Sequence[Entry]) -> list[bytes]:
        """Return the encoded images in the order asked for; empty where a row has none.

        Reads only the row groups that hold them, each once.
        """
        store = self._folder()
        wanted = defaultdict(list)
        for position, entry in enumerate(entries):
            file, group, _ = entry.where
            wanted[file, group].append(position)
        contents: dict[int, bytes] = {}
        for (file, group), positions in wanted.items():
            images = self._read_group(store, file, group)
            for position in positions:
                contents[position] = _content(images, entries[position])
        return [contents[position] for position in range(len(entries))]

    def _read_group(self, store: Store, file: str, group: int) -> pa.ChunkedArray:
        with store.open_parquet(file) as opened:
            table = opened.read_row_group(group, columns=[self.image_column])
        return table.column(self.image_column)

    def _list(self, store: Store, names: Sequence[str]) -> Iterator[Entry]:
        index = 0
        for name in names:
            for where, label, path in self._list_file(store, name):
                check_label(label, self.num_classes, where=f"{name} row {index}")
                official = _OFFICIAL.match(PurePosixPath(path or "").name)
                key = official[1] if official else f"{self.split}_{index:05d}"
                yield Entry(key, label, where)
                index += 1

    def _list_file(
        self, store: Store, name: str
    ) -> Iterator[tuple[tuple[str, int, int], int, str | None]]:
        """Yield where each image is, its label and the path it had."""
        with store.open_parquet(name) as file:
            self._check_columns(file.schema_arrow, name)
            for group in range(file.num_row_groups):
                columns = [self.label_column, f"{self.image_column}.path"]
                table = file.read_row_group(group, columns=columns)
                paths = self._paths(table)
                labels = table.column(self.label_column).to_pylist()
                for row, (label, path) in enumerate(zip(labels, paths, strict=True)):
                    yield (name, group, row), label, path

    def _paths(self, table: pa.Table) -> list[str | None]:
        if self.image_column not in table.column_names:
            return [None] * len(table)
        images = table.column(self.image_column).to_pylist()
        return [(image or {}).get("path") for image in images]

    def _check_columns(self, schema: pa.Schema, name: str) -> None:
        for field, column in (
            ("image_column", self.image_column),
            ("label_column", self.label_column),
        ):
            if column not in schema.names:
                raise ValueError(
                    f"hf_parquet needs a column {column!r}; {name} has {schema.names}. "
                    f"Set data.{field}."
                )
        kind = schema.field(self.image_column).type
        if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
            raise ValueError(
                f"hf_parquet needs images as struct<bytes, path>; {name} has "
                f"{self.image_column!r} as {kind}. Set data.image_column."
            )

    def _folder(self) -> Store:
        return folder_of(self.path, ending=_ENDING)

    def _files(self) -> tuple[Store, list[str]]:
        """Return the store and the names of the split's files, sorted."""
        inside = [name.format(self.split) for name in _INSIDE]
        found = find(self.path, ending=_ENDING, inside=inside)
        if len({name.rpartition("/")[0] for name in found.names}) != 1:
            there = (found.names or found.there)[:5]
            raise ValueError(
                f"hf_parquet needs files of split {self.split!r} in one folder; "
                f"{self.path} has {there or 'no Parquet file'}. "
                f"Set data.path or data.split."
            )
        return found.store, found.names


def _content(images: pa.ChunkedArray, entry: Entry) -> bytes:
    """Return an image's bytes; none where the row has none, which no decoder takes."""
    _, _, row = entry.where
    image = images[row].as_py()
    return (image or {}).get("bytes") or b""
