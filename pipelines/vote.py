"""Cast the votes of one sigma that OUT does not hold yet."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from infra import cluster
from infra.interrupt import Interrupted
from pipelines.allotment import Allotment, allot
from pipelines.conditions import (
    other_conditions,
    refuse_if_strict,
    share_of_flips,
    stored_conditions,
    unit_to_try_again,
)
from pipelines.failures import told_plainly
from pipelines.identity import vote_identity
from pipelines.ledger import precedence, vote_metadata
from pipelines.ledger_index import LedgerIndex
from pipelines.plans import Work, cast_votes, tracker, votes_again
from pipelines.prepare import Job, continued_ledger
from pipelines.progress import Watch, watched
from pipelines.recipe import Run
from pipelines.stall import STALL_SECONDS, Stall
from pipelines.tally import Tally
from pipelines.units import UNITS_PER_WAVE, Wave, votes_per_unit, wave_of
from pipelines.vote_rows import read_votes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spent:
    """What casting the missing votes of one sigma took."""

    seconds: float = 0.0
    """Wall time."""

    votes: int = 0
    """Cast in that time."""

    flips: float | None = None
    """Share of votes that flip between the conditions that OUT mixes, if it does."""


def vote(job: Job, run: Run, blocks: Mapping[str, int]) -> Spent:
    """Cast the votes of one sigma that OUT does not hold yet.

    Args:
        job: images and OUT.
        run: one of the job's.
        blocks: number of blocks wanted by stream.

    Raises:
        ValueError: the cluster is too small for the plan, or OUT holds other votes.
        TimeoutError: nothing moved for too long.
    """
    index = continued_ledger(job, run)
    wave = _wanted(job, index, blocks).incomplete()
    if not wave.entries:
        logger.info("sigma %g: all votes are there.", run.sigma)
        return Spent()
    before, began = index.num_votes(run.sampling.block), time.monotonic()
    flips, stalled = None, True
    while stalled and wave.entries:
        try:
            flips, stalled = _cast(_task(job, run, blocks), wave), False
        except Interrupted:
            logger.warning(
                "A node was lost, and nothing has moved for %g s; begun anew with what "
                "is left of the cluster.",
                STALL_SECONDS,
            )
        index.refresh()
        wave = _wanted(job, index, blocks).incomplete()
    cast = index.num_votes(run.sampling.block) - before
    return Spent(time.monotonic() - began, cast, flips)


@dataclass(frozen=True)
class _Task:
    """What is wanted, and what there is to do it with."""

    job: Job
    run: Run
    blocks: Mapping[str, int]
    stages: Mapping[str, Allotment]

    @property
    def index(self) -> LedgerIndex:
        return self.job.indexes[self.run.sigma]

    @property
    def use_gpu(self) -> bool:
        return any(stage.gpus for stage in self.stages.values())

    @property
    def num_actors(self) -> int:
        return max(stage.actors for stage in self.stages.values())


def _task(job: Job, run: Run, blocks: Mapping[str, int]) -> _Task:
    return _Task(job, run, blocks, allot(run, cluster.capacity(), job.image_shape))


def _has_room(job: Job, run: Run) -> bool:
    try:
        allot(run, cluster.capacity(), job.image_shape)
    except ValueError:
        return False
    return True


def _wanted(job: Job, index: LedgerIndex, blocks: Mapping[str, int]) -> Wave:
    keys = [entry.key for entry in job.entries]
    entries = tuple(replace(e, sha256=job.digests[e.key]) for e in job.entries)
    return Wave(entries, {s: index.present(keys, s, n) for s, n in blocks.items()})


def _cast(task: _Task, wave: Wave) -> float | None:
    """Cast what a wave misses; return the share of votes that flip, if measured."""
    job, run = task.job, task.run
    others = other_conditions(task.index, run, use_gpu=task.use_gpu)
    refuse_if_strict(others, run, job.out)
    limit, waves = _cut(task, wave)
    with tracker(run, limit=limit, num_actors=task.num_actors) as tell:
        plainly = partial(
            told_plainly, lambda: tell("news").in_flight, run.ray.no_progress_seconds
        )
        work = Work(run, waves, limit, job.out, _metadata(job, run), tell, job.run_id)
        with plainly():
            flips = _flips(task, work, others)
        watch = Watch(
            run_id=job.run_id,
            store=job.store,
            run=run,
            num_images=len(job.entries),
            votes_wanted=_votes_wanted(job, run, task.blocks),
            tally=Tally(job.store, run, job.labels, task.index, task.blocks),
            tell=tell,
            stall=Stall(cluster.living_nodes, partial(_has_room, job, run)),
        )
        with watched(watch), plainly():
            cast_votes(work, task.stages)
    return flips


def _cut(task: _Task, wave: Wave) -> tuple[int, list[Wave]]:
    """Return the votes of a unit at most, and waves of about as many units."""
    block = task.run.sampling.block
    missing = wave.num_missing_votes(block)
    limit = votes_per_unit(
        missing,
        block=block,
        unit_votes=task.run.stages.unit_votes,
        num_actors=task.num_actors,
    )
    units_per_image = missing / len(wave.entries) / limit
    return limit, wave.parts(max(1, int(UNITS_PER_WAVE / units_per_image)))


def _metadata(job: Job, run: Run) -> dict[str, str]:
    resolved = run.model_dump(mode="json")
    return vote_metadata(vote_identity(run), resolved, job.recipe.name)


def _flips(task: _Task, work: Work, others: Sequence[str]) -> float | None:
    """Measure how many votes flip, if OUT is about to mix conditions."""
    job, index = task.job, task.index
    unit = unit_to_try_again(job.store, index, others, job.entries)
    if unit is None:
        return None
    keys = [entry.key for entry in unit.entries]
    names = sorted({n for own in index.files_of(keys) for n in own}, key=precedence)
    stored = read_votes(job.store, names, keys).rows
    limit = unit.num_blocks * work.run.sampling.block
    # What is not committed would keep its place in the run's own tracker for ever.
    with tracker(work.run, limit=limit, num_actors=1) as tell:
        work = replace(work, waves=[wave_of(unit)], limit=limit, tell=tell)
        again = votes_again(work, task.stages)
    flips = share_of_flips(stored, again)
    logger.warning(
        "sigma %g: %s mixes votes made under %s with %s; of the votes cast again, at "
        "least %.2g %% flip.",
        work.run.sigma,
        work.out,
        ", ".join(stored_conditions(index)),
        again["conditions"][0].as_py(),
        100 * flips,
    )
    return flips


def _votes_wanted(job: Job, run: Run, blocks: Mapping[str, int]) -> int:
    noisy = sum(num for stream, num in blocks.items() if stream != "clean")
    return len(job.entries) * (noisy * run.sampling.block + blocks.get("clean", 0))
