"""A run in MLflow: one parent run, one child per sigma; only the driver writes."""

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from infra.flat_config import flatten
from infra.object_store import open_store
from infra.tracking_client import answering, connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

# Limits of MLflow's data base.
_LONGEST_DIGEST = 36
_METRICS_PER_BATCH, _PARAMS_PER_BATCH = 1000, 100


class Metric(NamedTuple):
    """One number of a run: letters, digits and ``_ - . : /``; NaN for none."""

    name: str
    value: float
    step: int = 0


def open_tracker(
    uri: str, *, experiment: str, artifact_root: str | None = None
) -> "Tracker":
    """Connect to MLflow and find or make the experiment.

    Args:
        uri: what ``resolve_uri`` returned.
        experiment: its name.
        artifact_root: where a new experiment keeps its files; ``None`` leaves that to
            the server.

    Raises:
        ConnectionError: nothing answers at the address.
        ValueError: the experiment was deleted.
    """
    if uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///"))
        database.parent.mkdir(parents=True, exist_ok=True)
    with answering(uri):
        client = connect(uri)
        found = _find_or_make(client, experiment, artifact_root)
    if found.lifecycle_stage != "active":
        raise ValueError(
            f"tracking needs an active experiment; {experiment!r} at {uri} is deleted. "
            f"Run: mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return Tracker(client=client, experiment_id=found.experiment_id)


@dataclass(frozen=True)
class Tracker:
    """Writes the runs of one experiment; a run that was there before is continued."""

    client: "MlflowClient"
    experiment_id: str

    def start_parent(self, name: str, *, out: str, vote_identity: str) -> str:
        """Start or continue the run of a whole recipe; returns its id.

        Args:
            name: what people see.
            out: where the recipe writes.
            vote_identity: hash of all that decides the votes.
        """
        tags = {"diffsmooth.out": out, "diffsmooth.vote_identity": vote_identity}
        return self.start(name, tags)

    def start_child(
        self, parent_id: str, *, out: str, sigma: float, vote_identity: str
    ) -> str:
        """Start or continue the run of one sigma below its parent; returns its id.

        Args:
            parent_id: what ``start_parent`` returned.
            out: where the recipe writes.
            sigma: std of the certified noise in [0, 1] pixels.
            vote_identity: hash of all that decides the votes of this sigma.
        """
        tags = {
            "mlflow.parentRunId": parent_id,
            "diffsmooth.out": out,
            "diffsmooth.sigma": f"{sigma:g}",
            "diffsmooth.vote_identity": vote_identity,
        }
        return self.start(f"sigma {sigma:g}", tags)

    def start_trial(self, parent_id: str, name: str, *, out: str, number: int) -> str:
        """Start or continue the run of one trial below its study's; returns its id.

        Args:
            parent_id: what ``start_parent`` returned.
            name: what people see.
            out: where the study writes.
            number: of the trial.
        """
        tags = {
            "mlflow.parentRunId": parent_id,
            "diffsmooth.out": out,
            "diffsmooth.trial": str(number),
        }
        return self.start(name, tags)

    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Record a configuration, nested or flat.

        MLflow never changes a parameter. One that a continued run has with another
        value is left, and the new value becomes the tag ``changed.NAME``.
        """
        from mlflow.entities import Param, RunTag

        known = self.client.get_run(run_id).data.params
        flat = flatten(params)
        new = [Param(key, flat[key]) for key in flat if key not in known]
        changed = [
            RunTag(f"changed.{key}", flat[key])
            for key in flat
            if key in known and known[key] != flat[key]
        ]
        for part in _batches(new, _PARAMS_PER_BATCH):
            self.client.log_batch(run_id, params=part)
        for part in _batches(changed, _PARAMS_PER_BATCH):
            self.client.log_batch(run_id, tags=part)

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Record numbers; those a continued run has already are not written twice."""
        from mlflow import entities

        known = self._known_metrics(run_id, {metric.name for metric in metrics})
        now = int(time.time() * 1000)
        new = [
            entities.Metric(metric.name, metric.value, now, metric.step)
            for metric in metrics
            if metric not in known
        ]
        for part in _batches(new, _METRICS_PER_BATCH):
            self.client.log_batch(run_id, metrics=part)

    def log_bytes(self, run_id: str, name: str, data: bytes) -> None:
        """Keep a content with the run under a name that may have folders.

        Raises:
            OSError: the bucket that keeps the run's files cannot be written.
        """
        kept_at = self.client.get_run(run_id).info.artifact_uri or ""
        if kept_at.startswith("s3://"):
            # MLflow would want a client and an endpoint of its own.
            open_store(kept_at).write(name, data)
            return
        place = PurePosixPath(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / place.name
            path.write_bytes(data)
            above = None if place.parent == PurePosixPath() else str(place.parent)
            self.client.log_artifact(run_id, str(path), above)

    def log_data_set(
        self, run_id: str, name: str, *, digest: str, description: Mapping[str, Any]
    ) -> None:
        """Record which data set a run read; no data is loaded.

        Args:
            run_id: the run it belongs to.
            name: the data set's name.
            digest: hash of its manifest; MLflow keeps the first 36 characters.
            description: where it comes from.
        """
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import Dataset, DatasetInput

        source = CodeDatasetSource(tags=flatten(description))
        described = MetaDataset(source, name=name, digest=digest[:_LONGEST_DIGEST])
        dataset = Dataset(**described.to_dict())
        self.client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags=[])])

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, in place of those of the same name."""
        for key, value in tags.items():
            self.client.set_tag(run_id, key, value)

    def finish(self, run_id: str, *, succeeded: bool) -> None:
        """End a run; started again, it continues."""
        status = "FINISHED" if succeeded else "FAILED"
        self.client.set_terminated(run_id, status=status)

    def start(self, name: str, tags: Mapping[str, str]) -> str:
        """Return the run with these tags, made if there is none, marked as running."""
        # A digest in place of the tags themselves: searching needs no quoting then.
        digest = hashlib.sha256(json.dumps(sorted(tags.items())).encode()).hexdigest()
        found: Sequence[Run] = self.client.search_runs(
            [self.experiment_id], f"tags.`diffsmooth.key` = '{digest}'", max_results=1
        )
        if found:
            run_id = found[0].info.run_id
            self.client.update_run(run_id, status="RUNNING")
            return run_id
        made = self.client.create_run(
            self.experiment_id, run_name=name, tags={**tags, "diffsmooth.key": digest}
        )
        return made.info.run_id

    def _known_metrics(self, run_id: str, names: set[str]) -> set[Metric]:
        known = names & self.client.get_run(run_id).data.metrics.keys()
        return {
            Metric(name, point.value, point.step)
            for name in known
            for point in self.client.get_metric_history(run_id, name)
        }


def _find_or_make(
    client: "MlflowClient", name: str, artifact_root: str | None
) -> "Experiment":
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return found
    try:
        return client.get_experiment(client.create_experiment(name, artifact_root))
    except MlflowException:
        # Another run made it in the meantime, or the error stands.
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return found


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[first : first + size] for first in range(0, len(items), size))
