"""Certify a data set: images in, votes, certificates, tables and tracking out."""

import logging
from collections.abc import Sequence
from typing import Any

import ray

from pipelines.certificates import blocks_of
from pipelines.certify_stage import Certified, CertifyStage, certified, stage_rows
from pipelines.conditions import refuse_mixture_if_strict
from pipelines.curve import Curve
from pipelines.failures import told_plainly
from pipelines.prepare import Job, continued_ledger, prepare
from pipelines.results import (
    curves_of,
    num_set_aside,
    write_manifest,
    write_results,
)
from pipelines.run_log import opened_log
from pipelines.vote import vote

logger = logging.getLogger(__name__)

DONE, SET_ASIDE = 0, 3
"""Exit status: every image has votes, or some were set aside."""


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
    with opened_log(job) as log:
        spent = [vote(job, run, blocks_of(run)) for run in job.recipe.runs]
        curves = _certified(job, [one.flips for one in spent])
        log.finish(curves, spent)
    set_aside = sum(num_set_aside(curve.certificates) for curve in curves)
    if set_aside:
        logger.warning(
            "%d certificates rest on blocks that failed or are missing, which count "
            "against every class; certificates.parquet says why.",
            set_aside,
        )
    return (SET_ASIDE if set_aside else DONE), curves, job


def _certified(job: Job, flips: Sequence[float | None]) -> list[Curve]:
    """Certify all sigmas in one stage, and write everything that follows."""
    for run in job.recipe.runs:
        index = continued_ledger(job, run)
        refuse_mixture_if_strict(index, run, job.out)
    found = certified_on_cluster(job)
    curves = curves_of(job.store, job.recipe.name, found)
    write_results(job.store, job.recipe, curves)
    write_manifest(job.store, job.recipe.name, found, curves, flips=flips)
    return curves


def certified_on_cluster(job: Job) -> list[Certified]:
    """Certify the images of all sigmas as one Ray Data stage over the vote files.

    Args:
        job: images, runs, OUT, and where the votes lie.

    Returns:
        One per run, in their order.
    """
    groups = [
        row
        for run in job.recipe.runs
        for row in stage_rows(run, job.indexes[run.sigma], job.labels)
    ]
    patience = job.recipe.runs[0].ray.no_progress_seconds
    rows = ray.data.from_items(groups, override_num_blocks=len(groups))
    rows.context.execution_no_progress_timeout_s = patience
    stage: Any = CertifyStage(job.out)  # Ray's types do not know such instances
    staged = rows.map_batches(stage, batch_size=1)
    with told_plainly(tuple, patience):
        tables: Any = staged.iter_batches(batch_format="pyarrow", batch_size=None)
        whole = [table for table in tables if len(table)]
    return [certified(run, job.indexes[run.sigma], whole) for run in job.recipe.runs]
