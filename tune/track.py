"""A study in MLflow: a parent, a child per trial, logged from the driver."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from infra.subsets import subset_digest
from infra.tracked_trials import ended_trials
from infra.tracking import Metric, Tracker, open_tracker
from pipelines.canonical import digest
from pipelines.curve import metrics
from pipelines.tracked import describe, tracked
from tune.prepare import StudyJob
from tune.trial import Trial


@dataclass(frozen=True)
class StudyLog:
    """The MLflow runs of one study, started or continued."""

    study_job: StudyJob
    tracker: Tracker
    parent: str

    def log_missing(self, trials: Sequence[Trial]) -> None:
        """Log trials of earlier starts, which may have been killed before they could.

        Args:
            trials: that have ended.
        """
        known = ended_trials(self.tracker, self.parent)
        for trial in trials:
            if trial.number not in known:
                self.log_trial(trial)

    def log_trial(self, trial: Trial) -> None:
        """Log one trial that has ended.

        Args:
            trial: with its certificates.
        """
        job, setting = self.study_job.job, trial.setting
        child = self.tracker.start_trial(
            self.parent, trial.name, out=job.out, number=trial.number
        )
        params = {
            "trial": trial.number,
            "variant": trial.baseline or setting.variant,
            "sigma": setting.sigma,
            "local.sigma": setting.local_sigma,
            "local.num": setting.num_local,
            "sampling.num_estimate": setting.num_estimate,
            **setting.others,
        }
        self.tracker.log_params(child, {k: v for k, v in params.items() if v != ""})
        values = _values(trial)
        self.tracker.log_metrics(child, [Metric(k, v) for k, v in values.items()])
        tags = {"diffsmooth.status": trial.status}
        if trial.reason:
            tags["diffsmooth.reason"] = trial.reason
        self.tracker.set_tags(child, tags)
        self.tracker.finish(child, succeeded=trial.status != "failed")

    def finish(self, files: Mapping[str, bytes]) -> None:
        """Keep the report with the study, and end its run.

        Args:
            files: by name.
        """
        for name, content in files.items():
            self.tracker.log_bytes(self.parent, f"report/{name}", content)
        self.tracker.finish(self.parent, succeeded=True)


def _values(trial: Trial) -> dict[str, float]:
    found = {"cost": trial.cost}
    if trial.score is not None:
        score = trial.score
        found |= {
            "objective": score.value,
            "objective_low": score.low,
            "objective_high": score.high,
        }
    if trial.curve is not None:
        found |= {"images": trial.curve.num_images, **metrics(trial.curve)}
    return found


def opened_study_log(study_job: StudyJob) -> AbstractContextManager[StudyLog]:
    """Start or continue the MLflow runs of a study, which fail if the body does.

    Args:
        study_job: whose recipe says where to log.

    Raises:
        ConnectionError: MLflow does not answer.
    """
    return tracked(study_job.job, lambda uri, root: _open(study_job, uri, root))


def _open(study_job: StudyJob, uri: str, artifact_root: str | None) -> StudyLog:
    job, study = study_job.job, study_job.chosen.study
    tracker = open_tracker(
        uri,
        experiment=f"diffsmooth {job.recipe.name}",
        artifact_root=artifact_root,
    )
    identity = digest(study_job.identity)
    name = f"study {job.recipe.name}"
    parent = tracker.start_parent(name, out=job.out, vote_identity=identity)
    tracker.log_params(parent, {"study": study.model_dump(mode="json"), "out": job.out})
    describe(tracker, parent, job, digest=subset_digest(job.entries))
    return StudyLog(study_job, tracker, parent)
