"""Casting what is wanted: with a tracker, watched, and begun anew where it is stuck."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow.compute as pc

from infra import cluster
from infra.interrupt import Interrupted
from pipelines.allotment import Allotment, allot
from pipelines.attempts import Tell
from pipelines.conditions import (
    other_conditions,
    refuse_if_strict,
    share_of_flips,
    stored_conditions,
    unit_to_try_again,
)
from pipelines.failures import told_plainly
from pipelines.families import LEDGER
from pipelines.index import Index
from pipelines.ledger import precedence
from pipelines.plans import cast_votes, tracker, votes_again
from pipelines.prepare import Job
from pipelines.progress import AnyTally, Watch, watched
from pipelines.recipe import Run
from pipelines.stall import STALL_SECONDS, Stall
from pipelines.target import Target
from pipelines.units import UNITS_PER_WAVE, Wave, votes_per_unit, wave_of
from pipelines.vote_rows import read_votes
from pipelines.work import Planning, Work, waves_planned

logger = logging.getLogger(__name__)

Stages = Mapping[str, Allotment]


@dataclass(frozen=True)
class Spent:
    """What casting the missing votes of one sigma took."""

    seconds: float = 0.0
    """Wall time."""

    votes: int = 0
    """Cast in that time."""

    flips: float | None = None
    """Share of votes that flip between the conditions that OUT mixes, if it does."""


@dataclass(frozen=True)
class Wanted:
    """Votes that are wanted of one run, and how they are planned."""

    stages: Stages
    """What each stage gets."""

    limit: int
    """Votes in a unit at most."""

    plannings: Callable[[Work], Sequence[Planning]]
    """Executions that cast them."""

    tally: Callable[[Tell], AnyTally]
    """Counts them as they come."""

    target: Target
    """Commits them."""

    plan: str | None = None
    """Key of :data:`pipelines.plans.PLANS`; ``None``: the run's."""


def cast_all(
    job: Job, run: Run, wanted: Callable[[], Wanted | None], index: Index
) -> Spent:
    """Cast votes until none is wanted any more.

    Args:
        job: images and OUT.
        run: one of the job's.
        wanted: says what OUT lacks, whenever it is asked; ``None`` for nothing.
        index: of the votes that are there.

    Raises:
        ValueError: the cluster is too small for the plan, or OUT holds other votes.
        TimeoutError: nothing moved for too long.
        RuntimeError: votes are wanted, and casting them gives none.
    """
    began = time.monotonic()
    first = index.num_votes(run.sampling.block)
    flips, had, interrupted = None, -1, False
    while missing := wanted():
        if index.num_rows == had and not interrupted:
            raise RuntimeError(
                f"sigma {run.sigma:g}: votes are missing, and casting them gives none."
            )
        had, interrupted = index.num_rows, False
        try:
            flips = _cast(job, run, missing, index)
        except Interrupted:
            interrupted = True
            logger.warning(
                "A node was lost, and nothing has moved for %g s; begun anew with what "
                "is left of the cluster.",
                STALL_SECONDS,
            )
        index.refresh()
    cast = index.num_votes(run.sampling.block) - first
    if not cast:
        logger.info("sigma %g: all votes are there.", run.sigma)
        return Spent()
    return Spent(time.monotonic() - began, cast, flips)


def stages_of(job: Job, run: Run) -> Stages:
    """Return what each stage gets of the cluster as it is now.

    Args:
        job: whose images.
        run: one of the job's.

    Raises:
        ValueError: the cluster is too small.
    """
    return allot(run, cluster.capacity(), job.image_shape, job.beside)


def divided(run: Run, wave: Wave, stages: Stages) -> tuple[int, list[Wave]]:
    """Return how many votes a unit holds at most, and a wave in parts of some units.

    Args:
        run: for its blocks and units.
        wave: of which something is missing of every image.
        stages: what each gets.
    """
    block = run.sampling.block
    missing = wave.num_missing_votes(block)
    limit = votes_per_unit(
        missing,
        block=block,
        unit_votes=run.stages.unit_votes,
        num_actors=num_actors(stages),
    )
    units_per_image = missing / len(wave.entries) / limit
    return limit, wave.parts(max(1, int(UNITS_PER_WAVE / units_per_image)))


def num_actors(stages: Stages) -> int:
    """Return the actors of the largest stage.

    Args:
        stages: what each gets.
    """
    return max(stage.actors for stage in stages.values())


def _cast(job: Job, run: Run, wanted: Wanted, index: Index) -> float | None:
    """Cast what is wanted; return the share of votes that flip, if measured."""
    stages = wanted.stages
    use_gpu = any(stage.gpus for stage in stages.values())
    others = other_conditions(index, run, use_gpu=use_gpu)
    refuse_if_strict(others, run, job.out)
    with tracker(run, limit=wanted.limit, num_actors=num_actors(stages)) as tell:
        plainly = partial(
            told_plainly, lambda: tell("news").in_flight, run.ray.no_progress_seconds
        )
        plan = wanted.plan or run.plan
        work = Work(run, wanted.limit, job.out, wanted.target, tell, job.run_id, plan)
        with plainly():
            flips = _flips(job, work, others, stages, index) if others else None
        watch = Watch(
            run_id=job.run_id,
            store=job.store,
            run=run,
            num_images=len(job.entries),
            tally=wanted.tally(tell),
            tell=tell,
            stall=Stall(cluster.living_nodes, partial(_has_room, job, run)),
        )
        with watched(watch), plainly():
            cast_votes(work, wanted.plannings(work), stages)
    return flips


def _has_room(job: Job, run: Run) -> bool:
    try:
        stages_of(job, run)
    except ValueError:
        return False
    return True


def _flips(
    job: Job, work: Work, others: Sequence[str], stages: Stages, known: Index
) -> float | None:
    """Measure how many votes flip, if OUT is about to mix conditions."""
    folder, index = known.one_with(others)
    unit = unit_to_try_again(job.store, index, others, job.entries)
    if unit is None:
        return None
    keys = [entry.key for entry in unit.entries]
    names = sorted({n for own in index.files_of(keys) for n in own}, key=precedence)
    stored = read_votes(job.store, names, keys).rows
    limit = unit.num_blocks * work.run.sampling.block
    # What is not committed would keep its place in the run's own tracker for ever.
    with tracker(work.run, limit=limit, num_actors=1) as tell:
        work = replace(work, limit=limit, tell=tell)
        (planning,) = waves_planned(work, [wave_of(unit)], stages)
        again = votes_again(work, planning, stages)
    if folder is not None:
        again = again.filter(pc.equal(again[LEDGER], folder))
    flips = share_of_flips(stored, again)
    _tell_of_flips(work, index, again["conditions"][0].as_py(), flips)
    return flips


def _tell_of_flips(work: Work, index: Index, ours: str, flips: float) -> None:
    logger.warning(
        "sigma %g: %s mixes votes made under %s with %s; of the votes cast again, at "
        "least %.2g %% flip.",
        work.run.sigma,
        work.out,
        ", ".join(stored_conditions(index)),
        ours,
        100 * flips,
    )
