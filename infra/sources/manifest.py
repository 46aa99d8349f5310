"""Data sets by a manifest: a Parquet file that names every image once and for all."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from infra.sources.content import Content, digest
from infra.sources.entry import Entry, checked
from infra.sources.files import Place, read_file
from infra.sources.layout import Layout
from infra.sources.locations import Location, read_locations
from infra.tables import from_bytes, to_bytes

MANIFEST = pa.schema(
    [
        ("key", pa.string()),
        ("label", pa.int32()),
        ("uri", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("sha256", pa.string()),
        ("size", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("where", pa.string()),
    ]
)
"""One row an image, in the data set's order. ``uri`` is the absolute place of its file,
``offset`` and ``length`` its bytes in there, null where it is the whole file or no run
of bytes; ``sha256`` and ``size`` are of the image as stored, ``width`` and ``height``
in pixels, null where it cannot be decoded; ``where`` is the layout's own locator, as
JSON."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Where a row of a manifest says an image lies."""

    location: Location
    """File, and bytes in it."""

    where: str
    """Locator of the layout it was ingested from, as JSON."""

    layout: str
    """Description of that layout, as JSON."""


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """A data set as ``ingest`` wrote it down: order, labels, places and digests.

    Listing reads the manifest and nothing else. Images are read from where they were
    when it was written, by byte range where there is one, and each is held against
    its SHA-256.
    """

    source: Literal["manifest"] = "manifest"

    path: Place
    """The Parquet file; local or ``s3://``."""

    dataset: str | None = None
    """Name under which results are reported; ``None`` takes the manifest's."""

    @property
    def name(self) -> str:
        """Name under which results are reported; reads the manifest where not set."""
        return self.dataset or self._open()[1]["dataset"]

    def entries(self) -> list[Entry]:
        """List the images in the manifest's order.

        Raises:
            ValueError: the file is not there, no manifest, of a layout that this
                version does not know, or not as it was written.
        """
        table, facts = self._open()
        layout = facts["source"]
        if manifest_digest(table, facts["dataset"], layout) != facts["digest"]:
            raise ValueError(
                f"A manifest needs to be as ingest wrote it; {self.path} has other "
                f"rows than its digest {facts['digest'][:12]} says. Ingest again."
            )
        _layout(layout)
        rows = table.to_pydict()
        places = map(Location, rows["uri"], rows["offset"], rows["length"])
        listed = (
            Listed(place, where, layout)
            for place, where in zip(places, rows["where"], strict=True)
        )
        found = map(Entry, rows["key"], rows["label"], listed, rows["sha256"])
        return checked(list(found), self.path)

    def read(self, entries: Sequence[Entry]) -> list[Content]:
        """Return the images in the order asked for, each as it was ingested.

        Raises:
            FileNotFoundError: a file is not there any more.
            ValueError: an image is not the one that was ingested.
        """
        ranged = [e for e in entries if e.where.location.offset is not None]
        others = [e for e in entries if e.where.location.offset is None]
        contents: dict[str, Content] = {}
        parts = read_locations([entry.where.location for entry in ranged])
        contents.update((e.key, part) for e, part in zip(ranged, parts, strict=True))
        if others:
            inner = [Entry(e.key, e.label, json.loads(e.where.where)) for e in others]
            read = _layout(others[0].where.layout).read(inner)
            contents.update((e.key, part) for e, part in zip(inner, read, strict=True))
        for entry in entries:
            _check_content(entry, contents[entry.key])
        return [contents[entry.key] for entry in entries]

    def _open(self) -> tuple[pa.Table, dict[str, str]]:
        data = read_file(self.path, needed_as="A run needs its manifest")
        table, facts = from_bytes(data, self.path)
        known = {"dataset", "source", "digest"} <= facts.keys()
        if not known or table.schema.names != MANIFEST.names:
            raise ValueError(
                f"A manifest needs the columns {', '.join(MANIFEST.names)}; "
                f"{self.path} has {', '.join(table.schema.names)}. Name a file that "
                f"diffsmooth ingest wrote."
            )
        return table, facts


def manifest_bytes(
    table: pa.Table, layout: Layout, subset: str = "full"
) -> tuple[bytes, str]:
    """Return a manifest as a Parquet file, and the digest of the whole.

    Args:
        table: of :data:`MANIFEST`.
        layout: where the images are; its places are absolute.
        subset: which of its images these are.
    """
    dataset, source = layout.name, layout.model_dump_json()
    whole = manifest_digest(table, dataset, source)
    facts = {"dataset": dataset, "source": source, "subset": subset, "digest": whole}
    return to_bytes(table, facts), whole


def manifest_digest(table: pa.Table, dataset: str, source: str) -> str:
    """Return the SHA-256 of all that a manifest says, in hexadecimal.

    Args:
        table: of :data:`MANIFEST`.
        dataset: name of the data set.
        source: description of its layout, as JSON.
    """
    said = json.dumps([dataset, source, table.to_pydict()], separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


@cache
def _layout(description: str) -> Layout:
    adapter = TypeAdapter(Annotated[Layout, Field(discriminator="source")])
    try:
        return adapter.validate_json(description)
    except ValidationError as error:
        raise ValueError(
            f"A manifest needs a layout that this version knows; it has {description}. "
            f"Read it with the version that wrote it, or ingest again."
        ) from error


def _check_content(entry: Entry, content: Content) -> None:
    if (found := digest(content)) != entry.sha256:
        raise ValueError(
            f"A manifest needs its images unchanged; {entry.key!r} in "
            f"{entry.where.location.uri} has SHA-256 {found[:12]}, and "
            f"{str(entry.sha256)[:12]} when it was ingested. Bring the old file back, "
            f"or ingest again and start a new run."
        )
