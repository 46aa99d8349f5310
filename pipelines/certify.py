"""Certify a data set: images in, votes, certificates, tables and tracking out."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import logging
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray

from pipelines.certificates import CERTIFICATES, CertifyStage, blocks_of
from pipelines.conditions import refuse_mixture_if_strict
from pipelines.curve import Curve
from pipelines.ledger import Ledger, read_ledger
from pipelines.prepare import Job, prepare
from pipelines.results import (
    curve_of,
    num_set_aside,
    write_manifest,
    write_results,
)
from pipelines.run_log import opened_log
from pipelines.vote import vote

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
    with opened_log(job) as log:
        spent = [vote(job, run, blocks_of(run)) for run in job.recipe.runs]
        curves = _certified(job, [one.flips for one in spent])
        log.finish(curves, spent)
    set_aside = sum(num_set_aside(curve.certificates) for curve in curves)
    if set_aside:
        logger.warning(
            "%d certificates were set aside, with radius 0 and the reason in "
            "certificates.parquet.",
            set_aside,
        )
    return (SET_ASIDE if set_aside else DONE), curves, job


def _certified(job: Job, flips: Sequence[float | None]) -> list[Curve]:
    """Certify all sigmas in one stage, and write everything that follows."""
    ledgers = [read_ledger(job.store, run.sigma) for run in job.recipe.runs]
    for run, ledger in zip(job.recipe.runs, ledgers, strict=True):
        refuse_mixture_if_strict(ledger, run, job.out)
    certificates = certificates_on_cluster(job, ledgers)
    curves = []
    for run, ledger in zip(job.recipe.runs, ledgers, strict=True):
        own = certificates.filter(pc.equal(certificates["sigma"], run.sigma))
        curves.append(curve_of(job.recipe.name, run, own, ledger))
    write_results(job.store, job.recipe, curves)
    write_manifest(job.store, job.recipe, curves, ledgers, flips=flips)
    return curves


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
