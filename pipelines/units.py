"""Work units: which blocks of which images are asked of one call of one actor."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from infra.sources.entry import Entry
from ops.vote.streams import num_copies

BlockKey = tuple[str, str, int]
"""Image key, stream, block."""

UNITS_PER_ACTOR = 4
"""Units each actor should get at least, so that none waits long for the last."""

UNITS_PER_WAVE = 1_000
"""About how many units are planned at once, by a task and not by the driver."""


@dataclass(frozen=True)
class Job:
    """A run of blocks of one image and one stream."""

    entry: Entry
    stream: str
    blocks: tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """What one call of one actor works off, and one file of votes holds."""

    jobs: tuple[Job, ...]

    @property
    def entries(self) -> list[Entry]:
        """The unit's images, each once, in order."""
        return list({job.entry.key: job.entry for job in self.jobs}.values())

    @property
    def num_blocks(self) -> int:
        """Blocks in all."""
        return sum(len(job.blocks) for job in self.jobs)

    @property
    def name(self) -> str:
        """A short text that follows from the unit's blocks, for logs and retries."""
        keys = [(job.entry.key, job.stream, job.blocks) for job in self.jobs]
        label = json.dumps(keys).encode()
        return hashlib.blake2b(label, digest_size=8).hexdigest()


@dataclass(frozen=True)
class Wave:
    """Some images and which of their blocks are there already."""

    entries: tuple[Entry, ...]
    present: Mapping[str, np.ndarray]
    """bool ``image block`` by stream; what is asked for is as wide as these."""

    def num_missing_votes(self, block: int) -> int:
        """Return how many copies have yet to vote.

        Args:
            block: copies in a block.
        """
        return sum(
            int((~there).sum()) * num_copies(stream, block)
            for stream, there in self.present.items()
        )

    def incomplete(self) -> "Wave":
        """Return the wave without the images of which nothing is missing."""
        whole = np.logical_and.reduce([p.all(axis=1) for p in self.present.values()])
        kept = np.flatnonzero(~whole)
        return Wave(
            tuple(self.entries[image] for image in kept),
            {stream: there[kept] for stream, there in self.present.items()},
        )

    def parts(self, num_images: int) -> "list[Wave]":
        """Return the wave in smaller ones.

        Args:
            num_images: in each at most.
        """
        starts = range(0, len(self.entries), num_images)
        return [
            Wave(
                self.entries[start : start + num_images],
                {s: p[start : start + num_images] for s, p in self.present.items()},
            )
            for start in starts
        ]


def nothing_voted(entries: Sequence[Entry], blocks: Mapping[str, int]) -> Wave:
    """Return a wave of images that have no votes yet.

    Args:
        entries: images asked for.
        blocks: number of blocks asked for by stream.
    """
    shape = len(entries)
    present = {stream: np.zeros((shape, num), bool) for stream, num in blocks.items()}
    return Wave(tuple(entries), present)


def wave_of(unit: Unit) -> Wave:
    """Return a wave of which nothing but a unit's blocks is missing.

    Args:
        unit: what is to be voted on.
    """
    entries = unit.entries
    rows = {entry.key: row for row, entry in enumerate(entries)}
    widths: dict[str, int] = {}
    for job in unit.jobs:
        widths[job.stream] = max(widths.get(job.stream, 0), max(job.blocks) + 1)
    present = {s: np.ones((len(entries), width), bool) for s, width in widths.items()}
    for job in unit.jobs:
        present[job.stream][rows[job.entry.key], list(job.blocks)] = False
    return Wave(tuple(entries), present)


def missing_jobs(wave: Wave) -> Iterator[Job]:
    """Yield what is still to be done, image by image.

    Args:
        wave: images, and what is there.
    """
    for image, entry in enumerate(wave.entries):
        for stream, there in wave.present.items():
            blocks = np.flatnonzero(~there[image])
            if len(blocks):
                yield Job(entry, stream, tuple(blocks.tolist()))


def votes_per_unit(
    num_votes: int,
    *,
    block: int,
    unit_votes: int,
    num_actors: int,
    each: int = UNITS_PER_ACTOR,
) -> int:
    """Return how many votes a unit holds at most.

    Args:
        num_votes: to be cast in all.
        block: copies in a block; a unit holds one block at least.
        unit_votes: votes in a unit at most.
        num_actors: actors that will share the units.
        each: units that each of them gets.
    """
    fair = max(1, num_votes // (each * num_actors))
    return max(block, min(unit_votes, fair))


def plan_units(jobs: Iterable[Job], *, block: int, limit: int) -> Iterator[Unit]:
    """Pack jobs into units, small images together, large images in several units.

    Args:
        jobs: what is to be done, images in order.
        block: copies in a block.
        limit: votes in a unit at most; a unit holds one block at least.

    Yields:
        Units in order of images; a unit holds whole images where they fit.
    """
    current: list[Job] = []
    room = limit
    for piece in _pieces(jobs, block, limit):
        cost = _votes(piece, block)
        if current and cost > room:
            yield Unit(tuple(current))
            current, room = [], limit
        current.extend(piece)
        room -= cost
    if current:
        yield Unit(tuple(current))


def _pieces(jobs: Iterable[Job], block: int, limit: int) -> Iterator[list[Job]]:
    """Yield what stays together: all of a small image, or a run of a large one."""
    run = max(1, limit // block)
    for _, grouped in groupby(jobs, lambda job: job.entry.key):
        image_jobs = list(grouped)
        if _votes(image_jobs, block) <= limit:
            yield image_jobs
            continue
        for job in image_jobs:
            for start in range(0, len(job.blocks), run):
                yield [Job(job.entry, job.stream, job.blocks[start : start + run])]


def _votes(jobs: Sequence[Job], block: int) -> int:
    return sum(len(job.blocks) * num_copies(job.stream, block) for job in jobs)
