import math
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from infra.object_store import open_store
from infra.tracking import Metric, Tracker, open_tracker
from infra.tracking_address import resolve_artifacts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracking") / "runs"


@pytest.fixture(scope="module")
def tracker(folder: Path) -> Tracker:
    return reopened(folder)


def reopened(folder: Path, experiment: str = "digits") -> Tracker:
    """Connect to the one data base of these tests, made on first use."""
    uri = f"sqlite:///{folder}/mlflow.db"
    root = resolve_artifacts(uri, str(folder / "out"))
    return open_tracker(uri, experiment=experiment, artifact_root=root)


@pytest.fixture
def parent(tracker: Tracker, request: pytest.FixtureRequest) -> str:
    """A run of its own for every test."""
    return tracker.start_parent("recipe", out=request.node.name, vote_identity="v")


def test_a_child_hangs_below_its_parent(tracker: Tracker, parent: str) -> None:
    child = tracker.start_child(parent, out="o", sigma=0.25, vote_identity="v")
    tags = tracker.client.get_run(child).data.tags
    assert tags["mlflow.parentRunId"] == parent
    assert tags["diffsmooth.sigma"] == "0.25"
    assert tags["diffsmooth.out"] == "o"
    assert tags["diffsmooth.vote_identity"] == "v"


def test_running_again_continues_the_same_runs(folder: Path) -> None:
    def start() -> tuple[str, str]:
        tracker = reopened(folder)
        parent = tracker.start_parent("r", out='it\'s "here"', vote_identity="v")
        child = tracker.start_child(parent, out="o", sigma=0.5, vote_identity="w")
        tracker.finish(child, succeeded=True)
        return parent, child

    assert start() == start()


def test_another_place_identity_or_sigma_is_another_run(
    tracker: Tracker, parent: str
) -> None:
    runs = {
        parent,
        tracker.start_parent("r", out="p", vote_identity="v"),
        tracker.start_parent("r", out="p", vote_identity="w"),
        tracker.start_child(parent, out="p", sigma=0.25, vote_identity="v"),
        tracker.start_child(parent, out="p", sigma=0.5, vote_identity="v"),
        tracker.start_child(parent, out="p", sigma=0.5, vote_identity="w"),
    }
    assert len(runs) == 6


def test_a_run_ends_as_it_went_and_runs_again_when_continued(
    tracker: Tracker, parent: str, request: pytest.FixtureRequest
) -> None:
    def status() -> str:
        return tracker.client.get_run(parent).info.status

    tracker.finish(parent, succeeded=False)
    assert status() == "FAILED"
    tracker.start_parent("recipe", out=request.node.name, vote_identity="v")
    assert status() == "RUNNING"
    tracker.finish(parent, succeeded=True)
    assert status() == "FINISHED"


def test_parameters_stay_and_changed_ones_become_tags(
    tracker: Tracker, parent: str
) -> None:
    tracker.log_params(parent, {"sampling": {"num_estimate": 1000}, "seed": 0})
    tracker.log_params(parent, {"sampling": {"num_estimate": 2000}, "seed": 0, "a": 1})
    data = tracker.client.get_run(parent).data
    assert data.params == {"sampling.num_estimate": "1000", "seed": "0", "a": "1"}
    assert data.tags["changed.sampling.num_estimate"] == "2000"
    assert "changed.seed" not in data.tags


def test_more_parameters_and_numbers_than_fit_one_request_arrive(
    tracker: Tracker, parent: str
) -> None:
    tracker.log_params(parent, {f"p{index}": index for index in range(205)})
    tracker.log_metrics(parent, [Metric("m", index, index) for index in range(1005)])
    assert len(tracker.client.get_run(parent).data.params) == 205
    assert len(tracker.client.get_metric_history(parent, "m")) == 1005


def test_a_curve_written_twice_has_each_point_once(
    tracker: Tracker, parent: str
) -> None:
    curve = [
        Metric("certified_acc", 1 - step / 100, step) for step in range(0, 100, 25)
    ]
    tracker.log_metrics(parent, curve[:2])
    tracker.log_metrics(parent, curve)
    history = tracker.client.get_metric_history(parent, "certified_acc")
    assert sorted((point.step, point.value) for point in history) == [
        (metric.step, metric.value) for metric in curve
    ]


def test_a_number_that_changed_is_read_anew(tracker: Tracker, parent: str) -> None:
    name = "certified_acc/r_0.50"
    tracker.log_metrics(parent, [Metric(name, 0.25), Metric("none", math.nan)])
    tracker.log_metrics(parent, [Metric(name, 0.75)])
    metrics = tracker.client.get_run(parent).data.metrics
    assert metrics[name] == 0.75
    assert math.isnan(metrics["none"])


def test_files_lie_where_the_experiment_keeps_them(
    tracker: Tracker, parent: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "table.md").write_text("a table")
    tracker.log_bytes(parent, "report/table.md", (tmp_path / "table.md").read_bytes())
    tracker.log_bytes(parent, "report/curve.svg", b"<svg/>")
    tracker.log_bytes(parent, "recipe.yaml", b"seed: 0")
    root = Path(
        unquote(urlsplit(tracker.client.get_run(parent).info.artifact_uri).path)
    )
    assert root.is_relative_to(folder / "mlartifacts")
    assert (root / "report" / "table.md").read_text() == "a table"
    assert (root / "report" / "curve.svg").read_bytes() == b"<svg/>"
    assert (root / "recipe.yaml").read_bytes() == b"seed: 0"


def test_files_lie_in_a_bucket_where_mlflow_looks_for_them(
    folder: Path,
    moto_server: dict[str, str],
    use_server: Callable[[dict[str, str]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_server(moto_server)
    uri = f"sqlite:///{folder}/mlflow.db"
    root = resolve_artifacts(uri, "s3://lab/runs/out")
    tracker = open_tracker(uri, experiment="in a bucket", artifact_root=root)
    parent = tracker.start_parent("r", out="s3://lab/runs/out", vote_identity="v")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "boto3", None)  # which users need not have
        tracker.log_bytes(parent, "report/table.md", b"| a |")

    kept = open_store("s3://lab/runs/mlartifacts")
    assert kept.read(f"{parent}/artifacts/report/table.md") == b"| a |"
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", moto_server["AWS_ENDPOINT_URL"])
    found = tracker.client.list_artifacts(parent, "report")
    assert [file.path for file in found] == ["report/table.md"]


def test_the_data_set_is_recorded_once_with_its_digest(
    tracker: Tracker, parent: str
) -> None:
    for _ in range(2):
        tracker.log_data_set(
            parent, "digits", digest="ab" * 32, description={"split": "test"}
        )
    (recorded,) = tracker.client.get_run(parent).inputs.dataset_inputs
    assert recorded.dataset.name == "digits"
    assert recorded.dataset.digest == "ab" * 18
    assert '"split": "test"' in recorded.dataset.source


def test_tags_replace_those_of_the_same_name(tracker: Tracker, parent: str) -> None:
    tracker.set_tags(parent, {"commit": "a", "host": "b"})
    tracker.set_tags(parent, {"commit": "c"})
    tags = tracker.client.get_run(parent).data.tags
    assert (tags["commit"], tags["host"]) == ("c", "b")


def test_a_deleted_experiment_is_refused_with_its_cure(folder: Path) -> None:
    gone = reopened(folder, "gone")
    gone.client.delete_experiment(gone.experiment_id)
    with pytest.raises(
        ValueError, match=f"restore --experiment-id {gone.experiment_id}"
    ):
        reopened(folder, "gone")
