"""What purifiers do, in MLflow: a run of the comparison, and one for each line."""

from collections.abc import Mapping, Sequence

from infra.provenance import provenance
from infra.tracking import Metric, Tracker, open_tracker
from infra.tracking_address import resolve_artifacts
from infra.tracking_client import answering
from pipelines.canonical import digest
from pipelines.identity import vote_identity
from pipelines.purifier_quality import Quality
from pipelines.recipe import Recipe, Run


def log_purifiers(
    uri: str,
    recipes: Sequence[Recipe],
    lines: Sequence[Quality],
    files: Mapping[str, bytes],
    *,
    out: str,
) -> None:
    """Log a comparison of purifiers; made again, it continues its runs.

    It goes into the experiment of the first recipe's data set, where ``certify`` logs.

    Args:
        uri: of MLflow.
        recipes: with weights resolved, the one that was asked for first.
        lines: of these recipes.
        files: contents by name, kept with the run.
        out: where the comparison was written.

    Raises:
        ConnectionError: MLflow does not answer.
    """
    first = recipes[0]
    with answering(uri):
        tracker = open_tracker(
            uri,
            experiment=f"diffsmooth {first.runs[0].data.source.name}",
            artifact_root=resolve_artifacts(uri, out),
        )
        tags = {"diffsmooth.out": out, "diffsmooth.purifiers": first.name}
        parent = tracker.start(f"{first.name} purifier", tags)
        params = {"recipe": first.name, "out": out, "num_images": lines[0].num_images}
        tracker.log_params(parent, params)
        source = provenance()["source"] or {}
        tracker.set_tags(parent, {f"git.{k}": str(v) for k, v in source.items()})
        runs = {(one.name, run.sigma): run for one in recipes for run in one.runs}
        for line in lines:
            _log_line(tracker, parent, line, runs[line.method, line.sigma], out=out)
        for name, content in files.items():
            tracker.log_bytes(parent, name, content)
        tracker.finish(parent, succeeded=True)


def _log_line(
    tracker: Tracker, parent: str, line: Quality, run: Run, *, out: str
) -> None:
    tags = {
        "mlflow.parentRunId": parent,
        "diffsmooth.out": out,
        "diffsmooth.method": line.method,
        "diffsmooth.sigma": f"{line.sigma:g}",
        "diffsmooth.distance": line.distance,
        "diffsmooth.device": line.device,
        "diffsmooth.vote_identity": digest(vote_identity(run)),
    }
    child = tracker.start(f"{line.method} sigma {line.sigma:g}", tags)
    tracker.log_params(child, run.model_dump(mode="json"))
    values = line.metrics()
    tracker.log_metrics(child, [Metric(name, values[name]) for name in values])
    tracker.finish(child, succeeded=True)
