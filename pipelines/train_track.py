"""Trainings in MLflow: a run each, told while it goes on and whole at its end."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ray.train import UserCallback

from infra.provenance import provenance
from infra.tracking import Metric, Tracker, open_tracker
from infra.tracking_address import resolve_artifacts, resolve_uri
from infra.tracking_client import answering
from pipelines.train_curve import Row, read_curve
from pipelines.train_publish import CURVE_FILE, folder_of
from pipelines.train_recipe import TrainRecipe

EXPERIMENT = "diffsmooth training"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TellMlflow(UserCallback):
    """Logs the lines of loss curves as checkpoints bring them, in Ray's controller."""

    uri: str
    runs: Mapping[str, str]
    """Run ids by the hash of the recipe."""

    def tell_rates(self, images_per_second: Mapping[str, float]) -> None:
        """Log how fast trainings went, by the hash of the recipe."""
        with answering(self.uri):
            tracker = open_tracker(self.uri, experiment=EXPERIMENT)
            for name, rate in images_per_second.items():
                metric = Metric("images_per_second", rate)
                tracker.log_metrics(self.runs[name], [metric])

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any
    ) -> None:
        """Log what the first worker reported; a training outlives MLflow.

        Args:
            run_context: of Ray Train, not read.
            metrics: one of each worker.
            checkpoint: not read.
        """
        told = metrics[0]
        try:
            with answering(self.uri):
                tracker = open_tracker(self.uri, experiment=EXPERIMENT)
                log_lines(tracker, self.runs[told["training"]], told["lines"])
        except ConnectionError as error:
            logger.warning("MLflow gets this part of the curve at the end. %s", error)


def log_lines(tracker: Tracker, run: str, lines: Sequence[Row]) -> None:
    """Log lines of a loss curve; those that are there already change nothing."""
    metrics = [
        Metric(name, line[name], int(line["step"]))
        for line in lines
        for name in line
        if name != "step"
    ]
    tracker.log_metrics(run, metrics)


@contextmanager
def tracked_trainings(
    trainings: Mapping[str, tuple[str, TrainRecipe]], cache: Path
) -> Iterator[TellMlflow]:
    """Start or continue the MLflow runs of trainings.

    Those that are not published by the end of the body fail.

    Args:
        trainings: title and recipe as written, by its hash; all of one address.
        cache: folder of all trained weights.

    Yields:
        What Ray Train is to call.

    Raises:
        ConnectionError: MLflow does not answer.
    """
    (asked,) = {recipe.tracking.uri for _, recipe in trainings.values()}
    uri = resolve_uri(asked, cache)
    with answering(uri):
        tracker = open_tracker(
            uri,
            experiment=EXPERIMENT,
            artifact_root=resolve_artifacts(uri, str(cache / "weights")),
        )
        runs = {
            name: _begin(tracker, name, *trainings[name], cache) for name in trainings
        }
    try:
        yield TellMlflow(uri, runs)
    finally:
        for name, run in runs.items():
            _end(uri, tracker, run, folder_of(name, cache))


def _begin(
    tracker: Tracker, name: str, title: str, recipe: TrainRecipe, cache: Path
) -> str:
    tags = {"diffsmooth.training": name, "diffsmooth.cache": str(cache)}
    run = tracker.start(title, tags)
    content = recipe.model_dump(mode="json")
    tracker.log_params(run, {**content, "training": name})
    source = provenance()["source"] or {}
    tracker.set_tags(run, {f"git.{key}": str(value) for key, value in source.items()})
    resolved = yaml.safe_dump(content, sort_keys=False)
    tracker.log_bytes(run, "recipe.yaml", resolved.encode())
    return run


def _end(uri: str, tracker: Tracker, run: str, folder: Path) -> None:
    """Log the whole curve and end a run; what went wrong before matters more."""
    curve = folder / CURVE_FILE
    try:
        with answering(uri):
            if curve.exists():
                content = curve.read_bytes()
                log_lines(tracker, run, read_curve(content))
                tracker.log_bytes(run, CURVE_FILE, content)
            tracker.finish(run, succeeded=folder.exists())
    except ConnectionError as error:
        logger.warning("A training's run stays open in MLflow. %s", error)
