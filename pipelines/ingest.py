"""A data set written down once: every image's name, class, place and digest."""

import json
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

from infra.sources.content import digest, image_size, num_bytes
from infra.sources.entry import Entry, missing_classes, some
from infra.sources.files import absolute, split_file
from infra.sources.layout import Layout
from infra.sources.manifest import MANIFEST, manifest_bytes
from infra.subsets import select
from pipelines.in_order import in_order
from pipelines.ingest_settings import described, require_there, subset_of

logger = logging.getLogger(__name__)

THREADS = 16
"""Readers at once."""

IMAGES_AT_ONCE = 32
"""Images one reader holds in memory."""

LINE_SECONDS = 10.0
"""Between log lines."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Ingested:
    """What a manifest holds, for the one who asked for it."""

    manifest: str
    """Where it is, absolute."""

    dataset: str
    """Name of the data set."""

    digest: str
    """SHA-256 of all that the manifest says."""

    num_images: int
    """Rows."""

    num_bytes: int
    """Of all images as stored."""

    num_classes: int
    """Classes that there are, with and without images."""

    missing_classes: Sequence[str]
    """Classes of which there is no image."""

    unreadable: Sequence[str]
    """Images that cannot be decoded; they are in the manifest all the same."""

    repeated: int
    """Images whose bytes are those of another one."""

    seconds: float
    """Time it took."""

    @property
    def warnings(self) -> list[str]:
        """What a person should know before using the manifest, a sentence each."""
        said = []
        if self.missing_classes:
            said.append(
                f"Classes without an image: {len(self.missing_classes)} of "
                f"{self.num_classes}, {some(self.missing_classes)}."
            )
        if self.unreadable:
            said.append(
                f"Images that cannot be decoded, which count as not certified: "
                f"{len(self.unreadable)} of {self.num_images}, {some(self.unreadable)}."
            )
        if self.repeated:
            said.append(
                f"Images with the bytes of another one: {self.repeated} of "
                f"{self.num_images}."
            )
        return said


def ingest(source: str, layout: str, settings: Sequence[str], out: str) -> Ingested:
    """List and read a data set, and write its manifest.

    Args:
        source: folder, file or pattern; local or ``s3://``.
        layout: one of the names in ``LAYOUTS``.
        settings: ``field=value`` each, of the layout's description, and ``subset``.
        out: the manifest to write, ``X.parquet``; local or ``s3://``.

    Returns:
        What the manifest holds, and what a person should know of it.

    Raises:
        ValueError: the layout does not fit the files, a setting does not fit the
            layout, or something is at ``out`` already.
        OSError: a file cannot be read, or ``out`` cannot be written.
    """
    began = time.monotonic()
    subset, others = subset_of(settings)
    description = described(source, layout, others)
    require_there(source)
    place = _free_place(out)
    entries = select(description.entries(), subset)
    # Named here, so that nobody has to list files to learn the name.
    description = description.model_copy(update={"dataset": description.name})
    logger.info("%s: %d images listed, reading them.", source, len(entries))
    rows = list(_told(_read_all(description, entries), len(entries)))
    table = pa.Table.from_pylist(rows, MANIFEST)
    data, whole = manifest_bytes(table, description, subset)
    store, name = split_file(place)
    if not store.write_once(name, data):
        raise _taken(place)
    classes = description.classes(entries)
    return Ingested(
        manifest=place,
        dataset=description.name,
        digest=whole,
        num_images=len(rows),
        num_bytes=sum(row["size"] for row in rows),
        num_classes=len(classes),
        missing_classes=missing_classes(entries, classes),
        unreadable=[row["key"] for row in rows if row["width"] is None],
        repeated=len(rows) - len({row["sha256"] for row in rows}),
        seconds=time.monotonic() - began,
    )


def _free_place(out: str) -> str:
    """Return where the manifest goes, absolute, refused if it cannot."""
    place = absolute(out)
    store, name = split_file(place)
    if not name.endswith(".parquet"):
        raise ValueError(
            f"ingest needs the name of a Parquet file; --out has {out}. "
            f"Write for example --out {out.rstrip('/')}.parquet."
        )
    if store.exists(name):
        raise _taken(place)
    store.require_writable()
    return place


def _taken(place: str) -> ValueError:
    return ValueError(
        f"ingest needs a new name, because runs rest on what a manifest says; there "
        f"is something at {place}. Choose another --out, or remove that file."
    )


def _read_all(layout: Layout, entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a manifest in the order of the entries."""
    parts = (
        entries[start : start + IMAGES_AT_ONCE]
        for start in range(0, len(entries), IMAGES_AT_ONCE)
    )
    for rows in in_order(lambda part: _rows(layout, part), parts, THREADS):
        yield from rows


def _rows(layout: Layout, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    rows = []
    for entry, content in zip(entries, layout.read(entries), strict=True):
        try:
            width, height = image_size(content)
        except ValueError as reason:
            width = height = None
            logger.warning("Image %r cannot be decoded: %s.", entry.key, reason)
        at = layout.locate(entry)
        rows.append(
            {
                "key": entry.key,
                "label": entry.label,
                "uri": at.uri,
                "offset": at.offset,
                "length": at.length,
                "sha256": digest(content),
                "size": num_bytes(content),
                "width": width,
                "height": height,
                "where": json.dumps(entry.where),
            }
        )
    return rows


def _told(rows: Iterable[Item], total: int) -> Iterator[Item]:
    """Pass rows on and log how far they are."""
    began = last = time.monotonic()
    for done, row in enumerate(rows, start=1):
        yield row
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            rate = done / (now - began)
            logger.info(
                "%d/%d images, %.0f images/s, %.0f s left.",
                done,
                total,
                rate,
                (total - done) / rate,
            )
