"""Cast the votes of one sigma for many local smoothings, where OUT lacks them."""

from dataclasses import replace
from functools import partial

from pipelines.casting import Spent, Wanted, cast_all, divided, stages_of
from pipelines.families import TraceTarget
from pipelines.prepare import Job
from pipelines.recipe import Run
from pipelines.trace_ledger import TraceLedger
from pipelines.trace_tally import TraceTally
from pipelines.units import Wave
from pipelines.work import waves_planned


def trace(job: Job, run: Run, ledger: TraceLedger) -> Spent:
    """Cast the votes that some families want and OUT does not hold, in one pass.

    Args:
        job: images and OUT.
        run: of one sigma, under the fused plan, with weights resolved; the families
            differ from it in ``local`` and in their blocks alone.
        ledger: of the families.

    Raises:
        ValueError: the cluster is too small, or an image has changed.
        TimeoutError: nothing moved for too long.
    """
    ledger.refresh()
    ledger.require_same_images(job.digests, job.out)
    keys = [entry.key for entry in job.entries]

    def wanted() -> Wanted | None:
        lacking = ledger.lacking(keys)
        return None if lacking is None else _wanted(job, run, lacking)

    return cast_all(job, run, wanted, ledger)


def _wanted(job: Job, run: Run, lacking: TraceLedger) -> Wanted:
    stages = stages_of(job, run)
    entries = tuple(replace(e, sha256=job.digests[e.key]) for e in job.entries)
    present = lacking.present([entry.key for entry in entries])
    wave = Wave(entries, present).incomplete()
    limit, waves = divided(run, wave, stages)
    return Wanted(
        stages=stages,
        limit=limit,
        plannings=partial(waves_planned, waves=waves, stages=stages),
        tally=lambda _: TraceTally(job.store, wave, run.sampling.block),
        target=TraceTarget(lacking.families),
        plan="traced",
    )
