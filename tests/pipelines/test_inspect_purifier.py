"""The verb that inspects purifiers, from a recipe to its files, without a cluster."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from PIL import Image
from purifiers_made import ENSEMBLE, looked_at_here, written
from typer.testing import CliRunner

from pipelines import inspect_purifier as inspecting
from pipelines.inspect_purifier import Asked, Inspected, inspect_purifier
from pipelines.sample import Sample
from tune.cli import app

SECONDS = "seconds_per_copy"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where recipes and every OUT lie, so that they share one MLflow database."""
    return tmp_path_factory.mktemp("inspected")


@pytest.fixture(scope="module", autouse=True)
def _in_this_process() -> Iterator[None]:
    with looked_at_here():
        yield


@pytest.fixture(scope="module")
def inspected(folder: Path) -> Inspected:
    """Return one recipe beside another of other sigmas, seed and classifier."""
    first = written(folder, "first")
    other = written(folder, "other", sigma=[0.5, 1.0], seed=9, classifier=ENSEMBLE)
    asked = Asked(num_images=7, beside=[other])
    return inspect_purifier(first, ["seed=4"], str(folder / "out"), asked)


def numbers_of(files: Mapping[str, bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files["purifier.csv"].decode())))


def test_only_shared_sigmas_are_compared_on_the_same_noisy_copies(
    inspected: Inspected,
) -> None:
    first, other = inspected.lines

    assert [(one.method, one.sigma) for one in (first, other)] == [
        ("first", 0.5),
        ("other", 0.5),
    ]
    assert first.num_images == 7
    # One purifier under two seeds: only the classifiers tell the lines apart.
    assert first.purified_psnr == other.purified_psnr
    assert first.purified_distance == other.purified_distance
    assert (first.same_class, first.right_class) != (
        other.same_class,
        other.right_class,
    )
    assert first.distance == other.distance


def test_every_number_is_in_the_files_and_out_holds_them(inspected: Inspected) -> None:
    found = numbers_of(inspected.files)

    for row, line in zip(found, inspected.lines, strict=True):
        for name, value in line.metrics().items():
            assert float(row[name]) == value
        assert (row["method"], row["distance"]) == (line.method, line.distance)
    assert set(inspected.files) == {"purified_0.5.png", "purifier.csv", "purifier.md"}
    for name, content in inspected.files.items():
        assert inspected.store.read(name) == content
    text = inspected.files["purifier.md"].decode()
    assert "features of digits_cnn (untrained, seed 0)" in text
    assert f"| first | 0.5 | 7 | {inspected.lines[0].noisy_psnr:.2f} |" in text


def test_the_picture_has_a_row_for_clean_noisy_and_every_method(
    inspected: Inspected,
) -> None:
    picture = Image.open(io.BytesIO(inspected.files["purified_0.5.png"]))

    labels, images, rows, tile = 10 * (2 + len("first")), 7, 4, 12 * 8 + 4
    assert picture.size == (labels + 4 + images * tile, 28 + 4 + rows * tile)
    clean, noisy, purified, other = (
        picture.crop((labels, top, picture.width, top + tile)).tobytes()
        for top in range(32, 32 + rows * tile, tile)
    )
    assert purified == other == noisy != clean


def test_mlflow_gets_every_line_beside_the_certificates_and_the_picture(
    inspected: Inspected, folder: Path
) -> None:
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("diffsmooth digits")
    assert experiment is not None

    runs = {
        run.info.run_name: run for run in client.search_runs([experiment.experiment_id])
    }

    assert set(runs) == {"first purifier", "first sigma 0.5", "other sigma 0.5"}
    parent = runs["first purifier"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for line in inspected.lines:
        run = runs[f"{line.method} sigma 0.5"]
        assert run.data.metrics == line.metrics()
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    kept = {one.path for one in client.list_artifacts(parent.info.run_id)}
    assert kept == set(inspected.files)


def test_again_all_is_the_same_but_the_seconds(
    inspected: Inspected, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspecting, "log_purifiers", lambda *_, **__: None)
    paths = [str(folder / f"{name}.yaml") for name in ("first", "other")]

    again = inspect_purifier(
        paths[0],
        ["seed=4"],
        str(folder / "again"),
        Asked(num_images=7, beside=paths[1:]),
    )

    assert again.files["purified_0.5.png"] == inspected.files["purified_0.5.png"]
    for one, other in zip(
        numbers_of(again.files), numbers_of(inspected.files), strict=True
    ):
        assert {**one, SECONDS: ""} == {**other, SECONDS: ""}


def test_images_are_spread_evenly_and_no_more_than_there_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Sample] = []
    monkeypatch.setattr(inspecting, "log_purifiers", lambda *_, **__: None)
    monkeypatch.setattr(inspecting, "picture", lambda sample, *_: seen.append(sample))
    monkeypatch.setattr(
        inspecting, "open_store", lambda _: _Nowhere(str(folder / "nowhere"))
    )
    name = written(folder, "spread", sigma=0.5)
    for num in (3, 500):
        inspect_purifier(name, [], None, Asked(num_images=num))

    few, every = seen
    assert len(every.keys) == 70
    assert few.keys == (every.keys[0], every.keys[34], every.keys[69])


class _Nowhere:
    """As much of an OUT as is written to."""

    local_path = None

    def __init__(self, url: str) -> None:
        self.url = url

    def require_writable(self) -> None: ...

    def write(self, name: str, content: bytes) -> None: ...


def test_the_command_line_hands_on_what_it_is_given(
    inspected: Inspected, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("pipelines.told.set_up_logging", lambda verbosity: None)

    def run(*arguments: Any) -> Inspected:
        calls.append(arguments)
        return inspected

    monkeypatch.setattr(inspecting, "inspect_purifier", run)
    flags = ["--images", "9", "--beside", "b", "--lpips", "w.pth", "--beside", "c"]
    line = ["inspect-purifier", "a", "--set", "seed=1", "--out", "o", *flags]

    told = CliRunner().invoke(app, line)
    CliRunner().invoke(app, ["inspect-purifier", "a"])

    assert told.exit_code == 0
    assert calls[0] == ("a", ["seed=1"], "o", Asked(9, ["b", "c"], "w.pth"))
    assert calls[1] == ("a", [], None, Asked(50, (), None))
    assert "first at 0.5" in told.output
    assert f"{inspected.store.url}/purified_0.5.png" in told.output.replace("\n", "")
