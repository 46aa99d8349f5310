"""Work units: which blocks of which images are asked of one call of one actor."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra.sources.entry import Entry
from ops.vote.add_noise import CLEAN, num_copies

BlockKey = tuple[str, str, int]
"""Image key, stream, block."""

UNITS_PER_ACTOR = 4
"""Units each actor should get at least, so that none waits long for the last."""


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


def blocks_for_certify(num_select: int, num_estimate: int, block: int) -> dict:
    """Return the number of blocks of each stream that a fixed-N certificate reads."""
    return {
        CLEAN: 1,
        "select": num_select // block,
        "estimate": num_estimate // block,
    }


def missing_jobs(
    entries: Sequence[Entry],
    blocks: Mapping[str, int],
    done: Collection[BlockKey],
) -> list[Job]:
    """Return what is still to be done, image by image.

    Args:
        entries: images asked for.
        blocks: number of blocks asked for by stream.
        done: blocks that are there.
    """
    jobs = (
        Job(
            entry,
            stream,
            tuple(b for b in range(num) if (entry.key, stream, b) not in done),
        )
        for entry in entries
        for stream, num in blocks.items()
    )
    return [job for job in jobs if job.blocks]


def plan_units(
    jobs: Sequence[Job], *, block: int, unit_votes: int, num_actors: int
) -> list[Unit]:
    """Pack jobs into units, small images together, large images in several units.

    Args:
        jobs: what is to be done, images in order.
        block: copies in a block.
        unit_votes: votes in a unit at most; a unit holds one block at least.
        num_actors: actors that will share the units.

    Returns:
        Units in order of images; a unit holds whole images where they fit.
    """
    fair = max(1, _votes(jobs, block) // (UNITS_PER_ACTOR * num_actors))
    limit = max(block, min(unit_votes, fair))
    units: list[Unit] = []
    current: list[Job] = []
    room = limit
    for piece in _pieces(jobs, block, limit):
        cost = _votes(piece, block)
        if current and cost > room:
            units.append(Unit(tuple(current)))
            current, room = [], limit
        current.extend(piece)
        room -= cost
    return [*units, Unit(tuple(current))] if current else units


def _pieces(jobs: Sequence[Job], block: int, limit: int) -> Iterator[list[Job]]:
    """Yield what stays together: all of a small image, or a run of a large one."""
    by_image: dict[str, list[Job]] = {}
    for job in jobs:
        by_image.setdefault(job.entry.key, []).append(job)
    run = max(1, limit // block)
    for image_jobs in by_image.values():
        if _votes(image_jobs, block) <= limit:
            yield image_jobs
            continue
        for job in image_jobs:
            for start in range(0, len(job.blocks), run):
                yield [Job(job.entry, job.stream, job.blocks[start : start + run])]


def _votes(jobs: Sequence[Job], block: int) -> int:
    return sum(len(job.blocks) * num_copies(job.stream, block) for job in jobs)
