"""Certify a data set: images in, votes, certificates, tables and tracking out."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import logging
import pickle
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray

from infra import cluster
from pipelines.allotment import allot
from pipelines.certificates import CERTIFICATES, CertifyStage, blocks_of
from pipelines.curve import Curve
from pipelines.identity import vote_identity
from pipelines.ledger import Ledger, num_votes, read_ledger, vote_metadata
from pipelines.plans import Work, cast_votes
from pipelines.prepare import Job, continued_ledger, prepare
from pipelines.progress import watched
from pipelines.recipe import Run
from pipelines.results import (
    curve_of,
    num_set_aside,
    write_manifest,
    write_results,
)
from pipelines.run_log import RunLog
from pipelines.units import missing_jobs, plan_units

logger = logging.getLogger(__name__)

DONE, SET_ASIDE = 0, 3
"""Exit status: every image has votes, or some were set aside."""

_IMAGES_PER_GROUP = 500


def certify(
    name: str, settings: Sequence[str] = (), out: str | None = None
) -> tuple[int, list[Curve], Job]:
    """Certify every image of a recipe at every sigma, from where OUT stands.

    Args:
        name: packaged recipe or YAML file.
        settings: ``field=value`` each.
        out: local path or ``s3://`` URI; ``None``: ``runs/NAME``.

    Returns:
        Exit status, one curve per sigma, and the job.

    Raises:
        ValueError: the run was refused; the message says what to do.
        OSError: a file is not there, or OUT cannot be written.
    """
    job = prepare(name, settings, out)
    log = RunLog.open(job)
    try:
        curves, ledgers = _all_sigmas(job, log)
        write_results(job.store, job.recipe, curves)
        write_manifest(job.store, job.recipe, curves, ledgers)
        log.finish(curves)
    finally:
        log.close()
    set_aside = sum(num_set_aside(curve.certificates) for curve in curves)
    if set_aside:
        logger.warning(
            "%d certificates were set aside, with radius 0 and the reason in "
            "certificates.parquet.",
            set_aside,
        )
    return (SET_ASIDE if set_aside else DONE), curves, job


def _all_sigmas(job: Job, log: RunLog) -> tuple[list[Curve], list[Ledger]]:
    """Vote at every sigma, then certify all of them in one stage."""
    spent = {run.sigma: vote(job, run, blocks_of(run)) for run in job.recipe.runs}
    ledgers = [read_ledger(job.store, run.sigma) for run in job.recipe.runs]
    certificates = certificates_on_cluster(job, ledgers)
    curves = []
    for run, ledger in zip(job.recipe.runs, ledgers, strict=True):
        own = certificates.filter(pc.equal(certificates["sigma"], run.sigma))
        curves.append(curve_of(job.recipe.name, run, own, ledger))
        seconds, votes = spent[run.sigma]
        log.sigma_done(run, curves[-1], seconds=seconds, votes=votes)
    return curves, ledgers


def vote(job: Job, run: Run, blocks: Mapping[str, int]) -> tuple[float, int]:
    """Cast the votes of one sigma that OUT does not hold yet.

    Args:
        job: images and OUT.
        run: one of the job's.
        blocks: number of blocks wanted by stream.

    Returns:
        Wall seconds, and votes cast in them.
    """
    ledger = continued_ledger(job, run)
    jobs = missing_jobs(job.entries, blocks, ledger.done())
    if not jobs:
        logger.info("sigma %g: all votes are there.", run.sigma)
        return 0.0, 0
    stages = allot(run, cluster.capacity())
    units = plan_units(
        jobs,
        block=run.sampling.block,
        unit_votes=run.stages.unit_votes,
        num_actors=max(stage.actors for stage in stages.values()),
    )
    metadata = vote_metadata(
        vote_identity(run), run.model_dump(mode="json"), job.recipe.name
    )
    work = Work(run, units, job.out, metadata)
    before, began = num_votes(ledger.votes), time.monotonic()
    with watched(job.store, run, job.labels, _votes_wanted(job, run, blocks)) as tally:
        cast_votes(work, stages)
    return time.monotonic() - began, tally.num_votes - before


def _votes_wanted(job: Job, run: Run, blocks: Mapping[str, int]) -> int:
    noisy = sum(num for stream, num in blocks.items() if stream != "clean")
    return len(job.entries) * (noisy * run.sampling.block + blocks.get("clean", 0))


def certificates_on_cluster(job: Job, ledgers: Sequence[Ledger]) -> pa.Table:
    """Certify the images of all sigmas as one Ray Data stage over the vote files.

    Args:
        job: images, runs and OUT.
        ledgers: one per run, to know which file holds which image.

    Returns:
        Certificates, sorted by sigma and image key.
    """
    groups = [
        {**group, "run": pickle.dumps(run)}
        for run, ledger in zip(job.recipe.runs, ledgers, strict=True)
        for group in _groups(job, ledger)
    ]
    rows = ray.data.from_items(groups, override_num_blocks=len(groups))
    stage: Any = CertifyStage(job.out)  # Ray's types do not know such instances
    certified = rows.map_batches(stage, batch_size=1)
    tables: Any = certified.iter_batches(batch_format="pyarrow", batch_size=None)
    whole = [table.cast(CERTIFICATES) for table in tables if len(table)]
    order = [("sigma", "ascending"), ("image_key", "ascending")]
    return pa.concat_tables(whole).sort_by(order)


def _groups(job: Job, ledger: Ledger) -> list[dict[str, list]]:
    """Return the images in groups, each with the files that hold its votes."""
    pairs = ledger.votes.group_by(["image_key", "file"]).aggregate([])
    files: dict[str, list[str]] = {entry.key: [] for entry in job.entries}
    for row in pairs.to_pylist():
        files.get(row["image_key"], []).append(row["file"])
    order = sorted(job.entries, key=lambda entry: (files[entry.key][:1], entry.key))
    parts = np.array_split(
        np.arange(len(order)), max(1, len(order) // _IMAGES_PER_GROUP)
    )
    return [
        {
            "keys": [order[i].key for i in part],
            "labels": [order[i].label for i in part],
            "files": sorted({name for i in part for name in files[order[i].key]}),
        }
        for part in parts
    ]
