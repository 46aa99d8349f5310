"""Cast the votes of one sigma that OUT lacks, where their number is known."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from pipelines.casting import Spent, Wanted, cast_all, divided, stages_of
from pipelines.identity import vote_facts
from pipelines.ledger_index import LedgerIndex
from pipelines.prepare import Job, continued_ledger
from pipelines.recipe import Run
from pipelines.tally import Tally
from pipelines.target import VoteTarget
from pipelines.units import Wave
from pipelines.work import waves_planned


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

    def wanted() -> Wanted | None:
        wave = _lacking(job, index, blocks).incomplete()
        return _wanted(job, run, blocks, wave) if wave.entries else None

    return cast_all(job, run, wanted, index)


def _lacking(job: Job, index: LedgerIndex, blocks: Mapping[str, int]) -> Wave:
    keys = [entry.key for entry in job.entries]
    entries = tuple(replace(e, sha256=job.digests[e.key]) for e in job.entries)
    return Wave(entries, {s: index.present(keys, s, n) for s, n in blocks.items()})


def _wanted(job: Job, run: Run, blocks: Mapping[str, int], wave: Wave) -> Wanted:
    stages = stages_of(job, run)
    limit, waves = divided(run, wave, stages)
    index, reading = job.indexes[run.sigma], job.readings[run.sigma]
    return Wanted(
        stages=stages,
        limit=limit,
        plannings=partial(waves_planned, waves=waves, stages=stages),
        tally=lambda _: Tally(job.store, reading, job.labels, index, blocks),
        target=VoteTarget(vote_facts(run, job.recipe.name)),
    )
