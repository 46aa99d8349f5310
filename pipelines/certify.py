"""Certify a data set: images in, votes, certificates, tables and tracking out."""

import logging
from collections.abc import Sequence

from pipelines.certify_on_cluster import certified_on_cluster
from pipelines.conditions import refuse_mixture_if_strict
from pipelines.curve import Curve, single
from pipelines.prepare import Job, continued_ledger, prepare_recipe
from pipelines.recipe import Recipe, Run, load_recipe
from pipelines.results import (
    curves_of,
    num_set_aside,
    write_manifest,
    write_results,
)
from pipelines.run_log import opened_log
from pipelines.vote import Spent, vote
from pipelines.vote_in_rounds import vote_in_rounds

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
        Exit status, one curve per sigma and one of a cascade, and the job.

    Raises:
        ValueError: the run was refused; the message says what to do.
        OSError: a file is not there, or OUT cannot be written.
    """
    return certify_recipe(load_recipe(name, list(settings)), out)


def certify_recipe(
    recipe: Recipe, out: str | None = None
) -> tuple[int, list[Curve], Job]:
    """Do for a recipe that was read what :func:`certify` does.

    Args:
        recipe: as loaded.
        out: local path or ``s3://`` URI; ``None``: ``runs/NAME``.

    Raises:
        ValueError: the run was refused; the message says what to do.
        OSError: a file is not there, or OUT cannot be written.
    """
    job = prepare_recipe(recipe, out)
    with opened_log(job) as log:
        spent = [_voted(job, run) for run in job.recipe.runs]
        curves = _certified(job, [one.flips for one in spent])
        log.finish(curves, spent)
    set_aside = sum(num_set_aside(curve.certificates) for curve in single(curves))
    if set_aside:
        logger.warning(
            "%d certificates rest on blocks that failed or are missing, which count "
            "against every class; certificates.parquet says why.",
            set_aside,
        )
    return (SET_ASIDE if set_aside else DONE), curves, job


def _voted(job: Job, run: Run) -> Spent:
    """Cast what the run's rule asks for and OUT does not hold."""
    reading = job.readings[run.sigma]
    if reading.table is not None:
        return vote_in_rounds(job, reading)
    return vote(job, run, reading.blocks)


def _certified(job: Job, flips: Sequence[float | None]) -> list[Curve]:
    """Certify all sigmas in one stage, and write everything that follows."""
    for run in job.recipe.runs:
        index = continued_ledger(job, run)
        refuse_mixture_if_strict(index, run, job.out)
    found = certified_on_cluster(job, job.recipe.runs)
    curves = curves_of(job.store, job.recipe.name, found)
    write_results(job.store, found, curves)
    write_manifest(job.store, job.recipe.name, found, curves, flips=flips)
    return curves
