"""Run the trials of a study with Ray Tune, each on votes that all share."""

import os
import tempfile
from collections.abc import Callable
from typing import Any

import ray
from ray import tune
from ray.tune import RunConfig, TuneConfig, Tuner

from tune.caster import start_casters
from tune.prepare import TRIAL_CPUS
from tune.progress import votes_told
from tune.records import Record, write_record
from tune.search import Search
from tune.suggest import Suggestions, rungs_of, scheduler_of
from tune.trial import Trial
from tune.trial_run import Shared, try_out

Told = Callable[[Trial], None]


def run_trials(search: Search, told: Told) -> list[Trial]:
    """Try what is left of a study.

    Args:
        search: the study.
        told: is told of each trial that has ended.

    Returns:
        All trials, by number, those of earlier starts among them.
    """
    queue, job = search.queue(), search.study_job.job
    study = search.study_job.chosen.study
    casters = start_casters(job)
    shared = Shared(
        out=job.out,
        own=search.study_job.store.url,
        objective=study.objective,
        together=search.together(),
        labels=tuple(job.labels.items()),
        rungs=rungs_of(study.halving, len(job.entries)),
    )
    earlier = list(queue.records)

    def record_ended(record: Record) -> None:
        write_record(search.study_job.store, record)
        told(search.trial(record))

    config = TuneConfig(
        search_alg=Suggestions(queue, record_ended),
        scheduler=scheduler_of(study.halving, len(job.entries), earlier),
        num_samples=-1,
        max_concurrent_trials=study.concurrent,
        reuse_actors=True,
    )
    try:
        with votes_told(job.store, job.run_id):
            _fit(tune.with_parameters(try_out, shared=shared, casters=casters), config)
    finally:
        for caster in casters:
            ray.kill(caster)
    return sorted(map(search.trial, queue.records), key=lambda one: one.number)


def _fit(trainable: Any, config: TuneConfig) -> None:
    # Ctrl-C ends the study here; Tune's own files would say again what OUT says.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new one tells even where it is silent
    with tempfile.TemporaryDirectory() as folder:
        Tuner(
            tune.with_resources(trainable, {"cpu": TRIAL_CPUS}),
            tune_config=config,
            run_config=RunConfig(storage_path=folder, name="trials", verbose=0),
        ).fit()
