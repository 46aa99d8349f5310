"""Cast the votes of one sigma that OUT does not hold yet."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra import cluster
from pipelines.allotment import Allotment, allot
from pipelines.conditions import (
    other_conditions,
    refuse_if_strict,
    share_of_flips,
    stored_conditions,
    unit_to_try_again,
)
from pipelines.identity import vote_identity
from pipelines.ledger import Ledger, num_votes, vote_metadata
from pipelines.plans import Work, cast_votes, votes_again
from pipelines.prepare import Job, continued_ledger
from pipelines.progress import watched
from pipelines.recipe import Run
from pipelines.units import Unit, missing_jobs, plan_units

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
    """
    ledger = continued_ledger(job, run)
    missing = missing_jobs(job.entries, blocks, ledger.done())
    if not missing:
        logger.info("sigma %g: all votes are there.", run.sigma)
        return Spent()
    stages = allot(run, cluster.capacity())
    use_gpu = any(stage.gpus for stage in stages.values())
    others = other_conditions(ledger, run, use_gpu=use_gpu)
    refuse_if_strict(others, run, job.out)
    units = plan_units(
        missing,
        block=run.sampling.block,
        unit_votes=run.stages.unit_votes,
        num_actors=max(stage.actors for stage in stages.values()),
    )
    work = Work(run, units, job.out, _metadata(job, run))
    flips = _flips(work, ledger, unit_to_try_again(ledger, others, job.entries), stages)
    before, began = num_votes(ledger.votes), time.monotonic()
    with watched(job.store, run, job.labels, _votes_wanted(job, run, blocks)) as tally:
        cast_votes(work, stages)
    return Spent(time.monotonic() - began, tally.num_votes - before, flips)


def _metadata(job: Job, run: Run) -> dict[str, str]:
    resolved = run.model_dump(mode="json")
    return vote_metadata(vote_identity(run), resolved, job.recipe.name)


def _flips(
    work: Work, ledger: Ledger, unit: Unit | None, stages: Mapping[str, Allotment]
) -> float | None:
    """Measure how many votes flip, if OUT is about to mix conditions."""
    if unit is None:
        return None
    again = votes_again(replace(work, units=[unit]), stages)
    flips = share_of_flips(ledger.votes, again)
    logger.warning(
        "sigma %g: %s mixes votes made under %s with %s; of the votes cast again, at "
        "least %.2g %% flip.",
        work.run.sigma,
        work.out,
        ", ".join(stored_conditions(ledger)),
        again["conditions"][0].as_py(),
        100 * flips,
    )
    return flips


def _votes_wanted(job: Job, run: Run, blocks: Mapping[str, int]) -> int:
    noisy = sum(num for stream, num in blocks.items() if stream != "clean")
    return len(job.entries) * (noisy * run.sampling.block + blocks.get("clean", 0))
