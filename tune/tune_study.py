"""Tune a recipe: search, report, track, and confirm the winner."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from infra.object_store import Store
from pipelines.curve import Curve
from pipelines.results import num_set_aside
from tune.confirm import confirm
from tune.prepare import StudyJob, prepare_study
from tune.report import promise_of, study_files
from tune.run import run_trials
from tune.search import Search
from tune.track import opened_study_log
from tune.trial import Trial
from tune.winner import warning_of, winner_of

DONE, FAILED, SET_ASIDE = 0, 1, 3
"""Exit status: all is well; some trials failed; some images were set aside."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuned:
    """What a study found."""

    status: int
    trials: list[Trial]
    winner: Trial | None
    warning: str
    """What the winner's score must not be taken for."""

    confirmed: list[Curve]
    """Of the winner on held-out images; empty if it was not asked for."""

    study_job: StudyJob

    @property
    def store(self) -> Store:
        """Of OUT."""
        return self.study_job.job.store


def tune_study(
    name: str,
    settings: Sequence[str] = (),
    out: str | None = None,
    *,
    confirmed: bool = False,
) -> Tuned:
    """Search for the settings of a recipe, from where OUT stands.

    Args:
        name: packaged recipe or YAML file, with ``study``.
        settings: ``field=value`` each.
        out: local path or ``s3://`` URI; ``None``: ``runs/NAME``.
        confirmed: whether the winner is certified on the held-out images.

    Raises:
        ValueError: the study was refused; the message says what to do.
        OSError: a file is not there, or OUT cannot be written.
    """
    study_job = prepare_study(name, settings, out)
    search = Search(study_job)
    search.refuse_if_nothing_can_be_tried()
    began = time.monotonic()
    with opened_study_log(study_job) as log:

        def told(trial: Trial) -> None:
            _tell(trial, search.num_trials, time.monotonic() - began)
            log.log_trial(trial)

        trials = run_trials(search, told)
        log.log_missing(trials)
        files = _report(study_job, trials)
        for name, content in files.items():
            study_job.job.store.write(f"report/{name}", content)
        log.finish(files)
    return _tuned(search, trials, confirmed=confirmed)


def _report(study_job: StudyJob, trials: Sequence[Trial]) -> dict[str, bytes]:
    job = study_job.job
    dataset = job.recipe.runs[0].data.source.name
    promise = promise_of(trials, dataset, len(job.entries))
    return study_files(trials, study_job.chosen.study, promise)


def _tuned(search: Search, trials: list[Trial], *, confirmed: bool) -> Tuned:
    study_job, winner = search.study_job, winner_of(trials)
    status, curves, warning = _status(trials), [], ""
    if winner is not None:
        warning = warning_of(trials, winner, study_job.chosen.study.objective)
        if confirmed:
            found = search.of(winner)
            confirmed_status, curves, _ = confirm(study_job, winner, found)
            status = status or confirmed_status
    return Tuned(status, trials, winner, warning, curves, study_job)


def _status(trials: Sequence[Trial]) -> int:
    if any(trial.status == "failed" for trial in trials):
        return FAILED
    curves = [trial.curve for trial in trials if trial.curve is not None]
    set_aside = max((num_set_aside(one.certificates) for one in curves), default=0)
    if not set_aside:
        return DONE
    logger.warning(
        "Of the images tuned on, %d failed; they count as not certified in every "
        "trial, and trials/*.parquet says why.",
        set_aside,
    )
    return SET_ASIDE


def _tell(trial: Trial, num_trials: int, seconds: float) -> None:
    score = f"{trial.score.value:.4g}" if trial.score else trial.reason
    logger.info(
        "trial %d of %d %s after %.0f s: %s: %s",
        trial.number,
        num_trials,
        trial.status,
        seconds,
        trial.name,
        score,
    )
