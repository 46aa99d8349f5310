"""A run in MLflow: a parent per recipe, a child per sigma, logged from the driver."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from infra.provenance import provenance
from infra.tracking import Metric, Tracker, open_tracker
from infra.tracking_address import resolve_artifacts, resolve_uri
from pipelines.curve import Curve, metrics
from pipelines.identity import digest, vote_identity
from pipelines.prepare import Job
from pipelines.recipe import Run
from pipelines.report import render
from pipelines.vote import Spent


@dataclass
class RunLog:
    """The MLflow runs of one job, started or continued."""

    uri: str
    """Tracking URI in use."""

    job: Job
    tracker: Tracker
    parent: str
    children: dict[float, str] = field(default_factory=dict)
    succeeded: bool = False

    @classmethod
    def open(cls, job: Job) -> Self:
        """Start or continue the parent run of a job.

        Args:
            job: whose recipe says where to log.
        """
        folder = job.store.local_path
        parent_folder = None if folder is None else folder.parent
        uri = resolve_uri(job.recipe.runs[0].tracking.uri, parent_folder)
        data = job.recipe.runs[0].data
        tracker = open_tracker(
            uri,
            experiment=f"diffsmooth {data.source.name}",
            artifact_root=resolve_artifacts(uri, parent_folder),
        )
        identities = [digest(vote_identity(run)) for run in job.recipe.runs]
        parent = tracker.start_parent(
            job.recipe.name,
            out=job.store.url,
            vote_identity=digest({"runs": identities}),
        )
        tracker.log_params(parent, {"recipe": job.recipe.name, "out": job.store.url})
        tracker.log_data_set(
            parent,
            data.source.name,
            digest=_digest_of_images(job),
            description=data.model_dump(mode="json"),
        )
        source = provenance()["source"] or {}
        tracker.set_tags(parent, {f"git.{k}": str(v) for k, v in source.items()})
        tracker.log_bytes(parent, "recipe.yaml", job.store.read("recipe.yaml"))
        return cls(uri=uri, job=job, tracker=tracker, parent=parent)

    def sigma_done(self, run: Run, curve: Curve, spent: Spent) -> None:
        """Log one sigma: parameters, certified accuracy, votes per second.

        Args:
            run: at this sigma.
            curve: its certificates.
            spent: on voting just now.
        """
        child = self.tracker.start_child(
            self.parent,
            out=self.job.store.url,
            sigma=run.sigma,
            vote_identity=digest(vote_identity(run)),
        )
        self.children[run.sigma] = child
        self.tracker.log_params(child, run.model_dump(mode="json"))
        values = metrics(curve)
        if spent.votes:
            rate = spent.votes / spent.seconds
            values["votes_per_second"] = rate
            values["images_per_second"] = rate / _votes_per_image(run)
        self.tracker.log_metrics(child, [Metric(k, v) for k, v in values.items()])
        self.tracker.finish(child, succeeded=True)

    def finish(self, curves: Sequence[Curve]) -> None:
        """Log the report's files with the parent run.

        Args:
            curves: one per sigma.
        """
        for name, content in render(curves).items():
            self.tracker.log_bytes(self.parent, f"report/{name}", content)
        self.succeeded = True

    def close(self) -> None:
        """End the parent run, as failed unless it was finished."""
        self.tracker.finish(self.parent, succeeded=self.succeeded)


def _votes_per_image(run: Run) -> int:
    return run.sampling.num_select + run.sampling.num_estimate + 1


def _digest_of_images(job: Job) -> str:
    """Return a digest of which images with which content were asked for."""
    listed = [(e.key, e.label, job.digests[e.key]) for e in job.entries]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
