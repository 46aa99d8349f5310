"""From work units to rows: read, decode, set aside what cannot be read, split up."""

import math
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from infra.images import Source, UnreadableImage, decode
from infra.object_store import open_store
from infra.sources.content import digest
from infra.sources.entry import Entry
from ops.pixels import require_unit
from ops.vote.add_noise import CLEAN, num_copies
from pipelines.ledger import VOTES, commit
from pipelines.recipe import Run
from pipelines.units import Job, Unit

CARRIED = ("sigma", "image_key", "label", "stream", "block", "image_sha256")
"""Columns that pass every stage untouched."""

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
    out: str
    metadata: Mapping[str, str]

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """Return each unit with its images."""
        payloads = [self._decode(pickle.loads(unit)) for unit in batch["unit"]]
        return {"unit": [pickle.dumps(payload) for payload in payloads]}

    def _decode(self, unit: Unit) -> tuple[Unit, dict[str, np.ndarray], dict[str, str]]:
        images, digests, failures = {}, {}, {}
        contents = self.source.read(unit.entries)
        for entry, content in zip(unit.entries, contents, strict=True):
            digests[entry.key] = digest(content)
            try:
                image = decode(content, self.run.data.preprocess, key=entry.key)
            except UnreadableImage as error:
                failures[entry.key] = str(error)
            else:
                require_unit(torch.from_numpy(image), entry.key)
                images[entry.key] = image
        if failures:
            self._set_aside(unit, digests, failures)
        kept = tuple(job for job in unit.jobs if job.entry.key not in failures)
        return Unit(kept), images, digests

    def _set_aside(
        self, unit: Unit, digests: Mapping[str, str], failures: Mapping[str, str]
    ) -> None:
        rows = [
            {
                **_identity_row(job, block, self.run.sigma, digests[job.entry.key]),
                "counts": [],
                "invalid": num_copies(job.stream, self.run.sampling.block),
                "seconds": 0.0,
                "failure": failures[job.entry.key],
                "conditions": "{}",
            }
            for job in unit.jobs
            if job.entry.key in failures
            for block in job.blocks
        ]
        votes = pa.Table.from_pylist(rows, VOTES)
        commit(open_store(self.out), votes, self.metadata)


def _identity_row(job: Job, block: int, sigma: float, sha256: str) -> dict[str, Any]:
    return {
        "sigma": sigma,
        "image_key": job.entry.key,
        "label": job.entry.label,
        "stream": job.stream,
        "block": block,
        "image_sha256": sha256,
    }


def calls(payload: bytes, run: Run) -> Iterator[dict[str, Any]]:
    """Yield the rows of a decoded unit in batches that fit a device.

    Args:
        payload: as :class:`DecodeUnits` returns it.
        run: for sigma and batch shape.

    Yields:
        Columns of blocks whose copies stack: of one image shape, all noisy or all not.
    """
    unit, images, digests = pickle.loads(payload)
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
                _identity_row(job, block, run.sigma, digests[job.entry.key])
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
