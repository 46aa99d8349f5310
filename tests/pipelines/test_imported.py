import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from infra.sources.digits import Digits
from ops.certify.clopper_pearson import certified_quantile
from ops.score.certified_accuracy import num_certified
from pipelines.cautions import cautions
from pipelines.cohen_log import cohen_log
from pipelines.curve import Curve, table_radii
from pipelines.import_log import import_log
from pipelines.rebuild import rebuild
from pipelines.recipe import Recipe


def contents(out: Path) -> dict[str, bytes]:
    files = [out / "certificates.parquet", *(out / "report").iterdir()]
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture
def run(
    recipe_of: Callable[..., Recipe], cast: Callable[..., Any], tmp_path: Path
) -> Path:
    """Return an OUT with the votes of three digits, not yet reported."""
    out = tmp_path / "small"
    cast(recipe_of().runs[0], out)
    return out


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., str]:
    """Return what imports a log of three digits and returns its OUT."""

    def make(out: str, sigma: float, labels: str = "012", name: str = "theirs") -> str:
        log = tmp_path / f"{out}.tsv"
        rows = [f"{y}\t{y}\t0.{n}\t1\t15.5\n" for n, y in enumerate(labels)]
        log.write_text("".join(rows))
        told = [f"sigma={sigma}", "num_estimate=100000", "failure_probability=0.01"]
        told += ["dataset=digits", f"name={name}"]
        return import_log(str(log), told, str(tmp_path / out))[1].url

    return make


Imported = Callable[..., str]


def test_an_imported_log_is_reported_as_it_was_imported(
    imported: Imported, tmp_path: Path
) -> None:
    out = Path(imported("theirs", 0.25))
    before = contents(out)
    shutil.rmtree(out / "report")

    (curve,), _ = rebuild([str(out)], [], None)

    assert contents(out) == before
    assert (curve.rule, curve.run) == ("imported", "theirs")
    assert list(curve.seconds.values()) == [15.5] * 3


def test_an_imported_log_stands_beside_a_run(
    run: Path, imported: Imported, tmp_path: Path
) -> None:
    curves, _ = rebuild(
        [str(run), imported("theirs", 0.25)], [], str(tmp_path / "both")
    )

    table = (tmp_path / "both" / "report" / "table.md").read_text()
    assert [curve.run for curve in curves] == ["small", "theirs"]
    assert "theirs at sigma 0.25: 3 images of digits, rule imported, N = 100,000" in (
        table
    )
    assert (
        "Compare with care: these certificates rest on different images, on different "
        "N (20 and 100,000), on different failure probabilities (0.001 and 0.01)."
    ) in table


def test_images_of_a_log_with_the_labels_of_a_run_may_be_the_same(
    run: Path, imported: Imported
) -> None:
    labels = "".join(str(entry.label) for entry in Digits().entries()[:3])
    (ours,), _ = rebuild([str(run)], [], None)
    (theirs,), _ = rebuild([imported("theirs", 0.25, labels)], [], None)

    (caution,) = cautions([ours, theirs])

    assert "rest on images that may differ, as a log does not name them" in caution
    assert cautions([ours]) == cautions([theirs, replace(theirs, sigma=0.5)]) == []


def test_logs_of_one_name_at_several_sigmas_are_one_run(
    imported: Imported, tmp_path: Path
) -> None:
    outs = [imported("near", 0.25), imported("far", 0.5)]

    rebuild(outs, [], str(tmp_path / "both"))

    lines = (tmp_path / "both" / "report" / "table.csv").read_text().splitlines()[1:]
    assert [line.split(",")[:2] for line in lines] == [
        ["theirs", "0.25"],
        ["theirs", "0.5"],
        ["theirs", "envelope"],
    ]


def test_what_has_one_name_and_one_sigma_is_named_by_its_out(
    imported: Imported, tmp_path: Path
) -> None:
    outs = [imported("one", 0.25), imported("two", 0.25)]

    curves, _ = rebuild(outs, [], str(tmp_path / "both"))

    assert [curve.run for curve in curves] == ["one", "two"]


def test_a_log_with_the_name_of_a_run_is_no_further_sigma_of_it(
    run: Path, imported: Imported, tmp_path: Path
) -> None:
    outs = [str(run), imported("three", 1.0, name="small")]

    curves, _ = rebuild(outs, [], str(tmp_path / "both"))

    assert [curve.run for curve in curves] == ["small", "three"]


def test_certificates_of_a_log_cannot_be_made_anew(
    run: Path, imported: Imported
) -> None:
    outs = [str(run), imported("theirs", 0.25)]

    with pytest.raises(ValueError, match=r"theirs holds an imported log and no votes"):
        rebuild(outs, ["sampling.num_estimate=10"], None)

    assert not (run / "report").exists()


def num_right_at(curve: Curve) -> list[int]:
    radii = np.array(table_radii([curve]))
    return num_certified(curve.correct, curve.radius, radii).tolist()


def test_our_own_log_gives_the_same_accuracy_again(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lost = np.minimum(generator.geometric(0.001, 300) - 1, 4000)
    lost[:5] = 0
    votes = np.full(300, 10_000)
    radius = 0.5 * certified_quantile(lost, votes, failure_probability=0.001)
    radius[10:13] = [0.25, 0.5, 1.0]
    abstained = np.arange(300) % 7 == 0
    guessed = generator.integers(0, 3, 300)
    ours = Curve(
        run="ours",
        sigma=0.5,
        certificates=pa.table(
            {
                "image_key": [f"digits_{index:04d}" for index in range(300)],
                "label": pa.array(generator.integers(0, 3, 300), pa.int32()),
                "guessed_class": pa.array(guessed, pa.int32()),
                "abstained": abstained,
                "radius": np.where(abstained, 0.0, radius),
            }
        ),
        dataset="digits",
        num_estimate=10_000,
        failure_probability=0.001,
        rule="fixed",
        seconds={},
    )
    path = tmp_path / "certify.tsv"
    path.write_text(cohen_log(ours))
    told = ["sigma=0.5", "num_estimate=10000", "dataset=digits"]

    again, _ = import_log(str(path), told, str(tmp_path / "out"))

    assert again.failure_probability == 0.001
    assert num_right_at(again) == num_right_at(ours)
    assert (again.correct == ours.correct).all()
