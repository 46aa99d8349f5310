"""A run in MLflow: a parent per recipe, a child per sigma, logged from the driver."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from infra.subsets import subset_digest
from infra.tracking import Metric, Tracker, open_tracker
from pipelines.canonical import digest
from pipelines.curve import Curve, metrics, single
from pipelines.identity import vote_identity
from pipelines.prepare import Job
from pipelines.recipe import Run
from pipelines.report import render
from pipelines.tracked import describe, tracked
from pipelines.vote import Spent


@dataclass(frozen=True)
class RunLog:
    """The MLflow runs of one job, started or continued."""

    job: Job
    tracker: Tracker
    parent: str

    def finish(self, curves: Sequence[Curve], spent: Sequence[Spent]) -> None:
        """Log every sigma and the report's files, and end the parent run.

        Args:
            curves: one per sigma, and one of a cascade if there is one.
            spent: on voting just now, one per sigma.
        """
        runs = self.job.recipe.runs
        for run, curve, one in zip(runs, single(curves), spent, strict=True):
            self._log_sigma(run, curve, one)
        for curve in curves:
            if curve.sigma is None:
                values = metrics(curve)
                found = [Metric(f"{curve.name}/{k}", v) for k, v in values.items()]
                self.tracker.log_metrics(self.parent, found)
        for name, content in render(curves).items():
            self.tracker.log_bytes(self.parent, f"report/{name}", content)
        self.tracker.finish(self.parent, succeeded=True)

    def _log_sigma(self, run: Run, curve: Curve, spent: Spent) -> None:
        child = self.tracker.start_child(
            self.parent,
            out=self.job.store.url,
            sigma=run.sigma,
            vote_identity=digest(vote_identity(run)),
        )
        self.tracker.log_params(child, run.model_dump(mode="json"))
        values = metrics(curve)
        if spent.votes:
            rate = spent.votes / spent.seconds
            values["votes_per_second"] = rate
            values["images_per_second"] = rate / _votes_per_image(run, curve)
        self.tracker.log_metrics(child, [Metric(k, v) for k, v in values.items()])
        self.tracker.finish(child, succeeded=True)


def opened_log(job: Job) -> AbstractContextManager[RunLog]:
    """Start or continue the MLflow runs of a job, which fail if the body does.

    Args:
        job: whose recipe says where to log.

    Raises:
        ConnectionError: MLflow does not answer.
    """
    return tracked(job, lambda uri, root: _open(job, uri, root))


def _open(job: Job, uri: str, artifact_root: str | None) -> RunLog:
    data = job.recipe.runs[0].data
    tracker = open_tracker(
        uri, experiment=f"diffsmooth {data.source.name}", artifact_root=artifact_root
    )
    identities = [digest(vote_identity(run)) for run in job.recipe.runs]
    parent = tracker.start_parent(
        job.recipe.name, out=job.store.url, vote_identity=digest({"runs": identities})
    )
    params = {
        "recipe": job.recipe.name,
        "out": job.store.url,
        "subset": data.subset,
        "subset_sha256": subset_digest(job.entries),
    }
    tracker.log_params(parent, params)
    describe(tracker, parent, job, digest=_digest_of_images(job))
    return RunLog(job, tracker, parent)


def _votes_per_image(run: Run, curve: Curve) -> float:
    select = 0 if curve.table_sha256 else run.sampling.num_select
    return curve.mean_votes + select + 1


def _digest_of_images(job: Job) -> str:
    """Return a digest of which images with which content were asked for."""
    listed = [(e.key, e.label, job.digests[e.key]) for e in job.entries]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
