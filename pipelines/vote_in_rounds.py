"""Cast the votes of one sigma until every image has stopped by itself."""

import pickle
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from ops.vote.streams import CLEAN
from pipelines.casting import (
    Spent,
    Stages,
    Wanted,
    cast_all,
    num_actors,
    stages_of,
)
from pipelines.certificates import INCOMPLETE
from pipelines.certify_on_cluster import certified_on_cluster
from pipelines.identity import vote_facts
from pipelines.image_groups import image_groups
from pipelines.prepare import Job, continued_ledger
from pipelines.reading import Reading
from pipelines.rounds import ExpandRounds, Rounds
from pipelines.rounds_tally import RoundsTally
from pipelines.stored_tables import FACT, store_table
from pipelines.target import VoteTarget
from pipelines.work import Planning, Work, units_at_once


def vote_in_rounds(job: Job, reading: Reading) -> Spent:
    """Cast the votes of one sigma until every image has stopped by itself.

    Args:
        job: images and OUT.
        reading: of one of the job's runs, under the sequential rule.

    Raises:
        ValueError: the cluster is too small for the plan, or OUT holds other votes.
        TimeoutError: nothing moved for too long.
    """
    run = reading.run
    continued_ledger(job, run)
    store_table(job.store, reading)

    def wanted() -> Wanted | None:
        going = _going(job, reading)
        return _wanted(job, reading, going) if going else None

    return cast_all(job, run, wanted, job.indexes[run.sigma])


def _going(job: Job, reading: Reading) -> set[str]:
    """Return the keys of the images that have not stopped, or lack their clean copy."""
    index = job.indexes[reading.run.sigma]
    keys = list(job.labels)
    if not index.num_rows:
        return set(keys)
    (found,) = certified_on_cluster(job, [reading.run])
    names = ("image_key", "reason")
    pairs = zip(*(found.certificates[name].to_pylist() for name in names), strict=True)
    has_clean = index.present(keys, CLEAN, 1)[:, 0]
    lacking = {key for key, there in zip(keys, has_clean, strict=True) if not there}
    return lacking | {key for key, reason in pairs if reason == INCOMPLETE}


def _wanted(job: Job, reading: Reading, going: Collection[str]) -> Wanted:
    run, stages = reading.run, stages_of(job, reading.run)
    index, block = job.indexes[run.sigma], run.sampling.block
    return Wanted(
        stages=stages,
        limit=max(block, run.stages.unit_votes),
        plannings=partial(_planned, job, reading, going, stages),
        tally=lambda tell: RoundsTally(
            reading,
            tell,
            num_images_asked=len(job.entries),
            votes_before=index.num_votes(block),
            images_before=len(job.entries) - len(going),
        ),
        target=VoteTarget(
            {
                **vote_facts(run, job.recipe.name),
                FACT: str(reading.table_sha256),
            }
        ),
    )


def _planned(
    job: Job, reading: Reading, going: Collection[str], stages: Stages, work: Work
) -> Sequence[Planning]:
    index = job.indexes[reading.run.sigma]
    entries = [
        replace(entry, sha256=job.digests[entry.key])
        for entry in job.entries
        if entry.key in going
    ]
    voted = {e.key: e.label for e in entries if e.key in index.codes}
    rounds = Rounds(
        entries=tuple(entries),
        has_clean=index.present([e.key for e in entries], CLEAN, 1)[:, 0],
        groups=tuple(image_groups(index, voted)) if voted else (),
        reading=reading,
        out=job.out,
        num_actors=num_actors(stages),
        unit_votes=reading.run.stages.unit_votes,
        most_units=units_at_once(stages),
    )
    return [Planning([{"rounds": pickle.dumps(rounds)}], ExpandRounds(work.tell))]
