from pathlib import Path

import pytest

from infra.tracking_address import resolve_artifacts, resolve_uri


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_sqlite_beside_out_unless_somebody_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve_uri(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    assert resolve_uri("http://recipe:1", tmp_path) == "http://recipe:1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://environment:1")
    assert resolve_uri("http://recipe:1", tmp_path) == "http://environment:1"


def test_a_bucket_as_out_leaves_the_data_base_in_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_uri(None, None) == f"sqlite:///{tmp_path}/runs/mlflow.db"


@pytest.mark.parametrize("uri", ["mlruns", "./mlruns", "file:///data/mlruns"])
def test_a_folder_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"it is '{uri}', a folder"):
        resolve_uri(uri, tmp_path)


@pytest.mark.parametrize(
    ("out", "files"),
    [
        ("/data/runs/a", "file:///data/runs/mlartifacts"),
        ("s3://lab/runs/a", "s3://lab/runs/mlartifacts"),
        ("s3://lab/a", "s3://lab/mlartifacts"),
        ("s3://lab", "s3://lab/mlartifacts"),
    ],
)
def test_files_lie_beside_out_for_sqlite_and_with_the_server_else(
    out: str, files: str
) -> None:
    assert resolve_artifacts("sqlite:////data/mlflow.db", out) == files
    assert resolve_artifacts("http://host:1", out) is None
