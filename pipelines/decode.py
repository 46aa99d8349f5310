"""From work units to pixels: read, decode, set aside what cannot; needs no torch."""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infra.images import Source, UnreadableImage, decode
from infra.sources.content import digest
from infra.sources.entry import Entry
from ops.pixel_range import require_unit
from pipelines.set_aside import SetAside
from pipelines.units import Unit

_IMAGES_AT_ONCE = 256


@dataclass(frozen=True)
class DecodeUnits:
    """Read and decode the images of units; set aside those that cannot be read.

    An image that cannot be decoded gets its votes at once: all of them for no class,
    with the reason, committed like any other unit.
    """

    source: Source

    preprocess: str
    """Resize and crop, named as in a recipe."""

    aside: SetAside

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[bytes]]]:
        """Yield each unit with its images."""
        for pickled in batch["unit"]:
            yield {"unit": [pickle.dumps(self.decoded(pickle.loads(pickled)))]}

    def decoded(self, unit: Unit) -> "Decoded":
        """Return a unit with the pixels of its images, but of those set aside.

        Args:
            unit: what is asked for.
        """
        by_key = {entry.key: entry for entry in unit.entries}
        images, digests = {}, {}
        parts = self.aside.attempts.survived(
            f"decode/{unit.name}",
            list(by_key),
            lambda keys: self._read([by_key[key] for key in keys]),
            lambda condemned: self.aside.condemned(unit, condemned),
        )
        for decoded, read, failures in parts:
            images |= decoded
            digests |= read
            for key, reason in failures.items():
                self.aside.image(unit, key, reason, read[key])
        kept = tuple(job for job in unit.jobs if job.entry.key in images)
        return Unit(kept), images, digests

    def _read(
        self, entries: Sequence[Entry]
    ) -> tuple[dict[str, np.ndarray], dict[str, str], dict[str, str]]:
        """Return pixels, digests of the content, and why some have no pixels."""
        images, digests, failures = {}, {}, {}
        for entry, content in zip(entries, self.source.read(entries), strict=True):
            digests[entry.key] = _as_listed(entry, digest(content))
            try:
                image = decode(content, self.preprocess, key=entry.key)
            except UnreadableImage as error:
                failures[entry.key] = str(error)
            else:
                require_unit(image, entry.key)
                images[entry.key] = image
        return images, digests, failures


def _as_listed(entry: Entry, sha256: str) -> str:
    if entry.sha256 not in (None, sha256):
        raise ValueError(
            f"A worker needs the image that the driver read; {entry.key!r} has sha256 "
            f"{sha256[:12]}, the driver's {str(entry.sha256)[:12]}. Restore it, or "
            f"give this node the same files, and run again."
        )
    return sha256


Decoded = tuple[Unit, dict[str, np.ndarray], dict[str, str]]
"""A unit of the images that have pixels, the pixels, and digests of all content."""


def entry_digests(source: Source, entries: Sequence[Entry]) -> dict[str, str]:
    """Return the SHA-256 of each image as stored, by key; reads what no entry says."""
    digests = {e.key: e.sha256 for e in entries if e.sha256 is not None}
    unknown = [entry for entry in entries if entry.sha256 is None]
    for start in range(0, len(unknown), _IMAGES_AT_ONCE):
        part = unknown[start : start + _IMAGES_AT_ONCE]
        contents = source.read(part)
        digests |= {e.key: digest(c) for e, c in zip(part, contents, strict=True)}
    return digests
