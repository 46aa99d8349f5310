"""From work units to rows: read, decode, set aside what cannot be read, split up."""

import math
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch

from infra.images import Source, UnreadableImage, decode
from infra.sources.content import digest
from infra.sources.entry import Entry
from ops.pixels import require_unit
from ops.vote.streams import CLEAN
from pipelines.recipe import Run
from pipelines.set_aside import CARRIED, SetAside, identity_row
from pipelines.units import Unit

_FLOATS_AT_ONCE = 1 << 26
_IMAGES_AT_ONCE = 256


@dataclass(frozen=True)
class DecodeUnits:
    """Read and decode the images of units; set aside those that cannot be read.

    An image that cannot be decoded gets its votes at once: all of them for no class,
    with the reason, committed like any other unit.
    """

    source: Source
    run: Run
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
                image = decode(content, self.run.data.preprocess, key=entry.key)
            except UnreadableImage as error:
                failures[entry.key] = str(error)
            else:
                require_unit(torch.from_numpy(image), entry.key)
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


def calls(decoded: Decoded, run: Run) -> Iterator[dict[str, Any]]:
    """Yield the rows of a decoded unit in batches that fit a device.

    Args:
        decoded: as :class:`DecodeUnits` returns it.
        run: for sigma and batch shape.

    Yields:
        Columns of blocks whose copies stack: of one image shape, all noisy or all not.
    """
    unit, images, digests = decoded
    pairs = [(job, block) for job in unit.jobs for block in job.blocks]
    pairs.sort(
        key=lambda pair: (pair[0].stream != CLEAN, images[pair[0].entry.key].shape)
    )
    groups = groupby(
        pairs, lambda pair: (pair[0].stream == CLEAN, images[pair[0].entry.key].shape)
    )
    for (_, shape), group in groups:
        rows = list(group)
        at_once = rows_at_once(shape, run.sampling.block, run.batch)
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            records = [
                identity_row(job, block, run.sigma, digests[job.entry.key])
                for job, block in part
            ]
            columns = {name: np.array([r[name] for r in records]) for name in CARRIED}
            pixels = np.stack([images[job.entry.key] for job, _ in part])
            yield {**columns, "image": pixels}


def rows_at_once(shape: Sequence[int], block: int, batch: int) -> int:
    """Return how many blocks one call takes: within memory, with least padding.

    Args:
        shape: of an image.
        block: copies in a block.
        batch: copies in a network call.
    """
    room = max(1, _FLOATS_AT_ONCE // (block * math.prod(shape)))

    def share_of_padding(rows: int) -> float:
        return -rows * block % batch / (rows * block)

    # Full batches repeat with this period, so no more rows than it need be tried.
    period = math.lcm(block, batch) // block
    best = min(range(1, min(room, period) + 1), key=share_of_padding)
    return room // best * best if best == period else best


def entry_digests(source: Source, entries: Sequence[Entry]) -> dict[str, str]:
    """Return the SHA-256 of each image as stored, by key; reads what no entry says."""
    digests = {e.key: e.sha256 for e in entries if e.sha256 is not None}
    unknown = [entry for entry in entries if entry.sha256 is None]
    for start in range(0, len(unknown), _IMAGES_AT_ONCE):
        part = unknown[start : start + _IMAGES_AT_ONCE]
        contents = source.read(part)
        digests |= {e.key: digest(c) for e, c in zip(part, contents, strict=True)}
    return digests
