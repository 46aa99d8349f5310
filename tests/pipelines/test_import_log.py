import json
import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ops.score.certified_accuracy import num_certified
from pipelines.certificates import CERTIFICATES
from pipelines.curve import Curve, table_radii
from pipelines.import_log import import_log

TOLD = ["sigma=0.25", "num_estimate=100000", "dataset=cifar10"]
LINES = [
    "idx\tlabel\tpredict\tradius\tcorrect\ttime",
    "0\t3\t3\t0.978\t1\t0:00:15.500000",
    "20\t7\t-1\t0.0\t0\t0:00:15.000000",
    "40\t4\t5\t0.978\t0\t0:00:16.000000",
    "60\t1\t1\t0.5\t1\t0:00:17.000000",
    "80\t0\t0\t0.978\t1\t0:00:18.000000",
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of five images at sigma 0.25, N = 100,000, alpha = .01."""
    path = tmp_path / "sigma_0.25"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "out")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Curve, Path]:
    """Return the curve of the log and its OUT; to be read only."""
    folder = tmp_path_factory.mktemp("imported")
    path = folder / "sigma_0.25"
    path.write_text("\n".join(LINES) + "\n")
    out = folder / "out"
    return import_log(str(path), [*TOLD, "num_select=100"], str(out))[0], out


def shares(curve: Curve) -> dict[float, float]:
    """Return certified accuracy in percent, by radius within reach."""
    radii = np.array(table_radii([curve])[:-1])
    counts = num_certified(curve.correct, curve.radius, radii)
    return dict(zip(radii.tolist(), 100 * counts / curve.num_images, strict=True))


def test_certificates_hold_what_the_log_says_and_nothing_else(
    imported: tuple[Curve, Path],
) -> None:
    curve, out = imported

    table = pq.read_table(out / "certificates.parquet")
    rows = table.to_pylist()
    assert table.schema.remove_metadata() == CERTIFICATES
    assert [row["image_key"] for row in rows] == [
        f"cifar10_idx_{index:08d}" for index in (0, 20, 40, 60, 80)
    ]
    assert [row["guessed_class"] for row in rows] == [3, -1, 5, 1, 0]
    assert [row["abstained"] for row in rows] == [False, True, False, False, False]
    assert [row["radius"] for row in rows] == [0.978, 0.0, 0.978, 0.5, 0.978]
    assert rows[1]["reason"] == "abstained"
    assert curve.seconds["cifar10_idx_00000040"] == 16.0
    assert rows[0] == {
        **dict.fromkeys(CERTIFICATES.names),
        "image_key": "cifar10_idx_00000000",
        "label": 3,
        "sigma": 0.25,
        "guessed_class": 3,
        "abstained": False,
        "num_draws": 100_000,
        "failure_probability": 0.01,
        "radius": 0.978,
        "rule": "imported",
        "reason": "certified",
    }
    assert shares(curve) == {0.0: 60.0, 0.25: 60.0, 0.5: 60.0, 0.75: 40.0}


def test_report_says_that_others_made_and_rounded_the_radii(
    imported: tuple[Curve, Path],
) -> None:
    text = (imported[1] / "report" / "table.md").read_text()

    assert "rule imported, N = 100,000, failure probability 0.01" in text
    assert "usually to 3 digits and not rounded down" in text
    assert "right images exactly on a radius of the table: 1;" in text
    assert "failure probability detected" in text


def test_manifest_says_where_the_certificates_come_from(
    imported: tuple[Curve, Path],
) -> None:
    manifest = json.loads((imported[1] / "manifest.json").read_text())

    assert manifest["kind"] == "imported"
    assert manifest["log"]["name"] == "sigma_0.25"
    assert len(manifest["log"]["sha256"]) == 64
    assert manifest["settings"]["name"] == "sigma_0.25"
    assert manifest["settings"]["num_select"] == 100
    assert manifest["failure_probability"]["found"] == "detected"
    assert manifest["runs"][0]["reasons"] == {"certified": 4, "abstained": 1}


def test_a_running_total_is_told_and_counted_anew(
    imported: tuple[Curve, Path],
    log: Path,
    out: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    totals = iter(["1", "1", "1", "2", "3"])
    rows = [line.split("\t") for line in LINES[1:]]
    lines = ["\t".join([*row[:4], next(totals), row[5]]) for row in rows]
    log.write_text("\n".join([LINES[0], *lines]))

    with caplog.at_level(logging.WARNING):
        total, _ = import_log(str(log), TOLD, out)

    assert shares(total) == shares(imported[0])
    assert "running total" in caplog.text


def test_images_without_idx_are_told_apart_by_their_lines(log: Path, out: str) -> None:
    log.write_text("".join(f"{x.partition(chr(9))[2]}\n" for x in LINES[1:]))

    curve, _ = import_log(str(log), TOLD, out)

    assert curve.column("image_key")[-1] == "cifar10_row_00000004"
    assert shares(curve)[0.0] == 60.0


def test_images_are_sorted_by_idx(log: Path, out: str) -> None:
    log.write_text("\n".join([LINES[0], *LINES[:0:-1]]))

    curve, _ = import_log(str(log), TOLD, out)

    assert curve.column("label").tolist() == [3, 7, 4, 1, 0]


def test_the_same_log_may_be_imported_again(log: Path, out: str) -> None:
    import_log(str(log), TOLD, out)
    files = [path for path in Path(out).rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}

    import_log(str(log), TOLD, out)

    assert {path: path.read_bytes() for path in files} == before


def test_another_log_takes_no_place_that_is_taken(log: Path, out: str) -> None:
    import_log(str(log), TOLD, out)
    log.write_text("\n".join(LINES[:-1]))

    with pytest.raises(ValueError, match=r"import of another log, sigma_0\.25\. Add"):
        import_log(str(log), [*TOLD, "failure_probability=0.01"], out)


def test_a_run_is_not_overwritten(log: Path, out: str) -> None:
    votes = Path(out) / "votes" / "sigma_0.25"
    votes.mkdir(parents=True)
    (votes / "a.parquet").touch()

    with pytest.raises(ValueError, match=r"has a run\. Add --out"):
        import_log(str(log), TOLD, out)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ([], r"needs sigma, num_estimate, dataset, num_classes; sigma_0\.25 does not"),
        (TOLD[:2], r"needs dataset, num_classes; .* --set dataset=imagenet"),
        ([*TOLD[:2], "dataset=hf_parquet"], r"needs num_classes; "),
        ([*TOLD, "sigma=0"], r"needs 'sigma' to fit: .* greater than 0; it has 0"),
        ([*TOLD, "sigma=.inf"], r"needs 'sigma' to fit"),
        ([*TOLD, "num_estimate=0.5"], r"needs 'num_estimate' to fit"),
        ([*TOLD, "alpha=0.001"], r"'alpha' is none of them\. Known: dataset, fail"),
        ([*TOLD, "failure_probability=1"], r"needs 'failure_probability' to fit"),
        ([*TOLD, "failure_probability=0.001"], r"sigma_0\.25:2 has 0\.978"),
        ([*TOLD, "num_estimate=1000"], r"does not tell it\. Of 1,000 votes"),
        ([*TOLD, "num_classes=5"], r"label in \[0, 5\); sigma_0\.25:3 has 7"),
        ([*TOLD, "sigma"], r"--set needs field=value"),
    ],
)
def test_what_was_not_told_or_cannot_be_is_refused(
    log: Path, out: str, settings: list[str], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        import_log(str(log), settings, out)

    assert not Path(out).exists()


def test_a_log_that_is_not_there_is_refused(tmp_path: Path, out: str) -> None:
    for path in (tmp_path / "none.tsv", tmp_path):
        with pytest.raises(ValueError, match=r"needs the file of a log; .* is none"):
            import_log(str(path), TOLD, out)


def test_out_and_run_are_named_for_the_log(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(log.parent)
    log.rename(log.parent / "gaussian_0.25.tsv")

    curve, store = import_log("gaussian_0.25.tsv", TOLD, None)

    assert curve.run == "gaussian_0.25"
    assert store.local_path == log.parent / "runs" / "gaussian_0.25"


def test_a_log_that_is_not_there_is_refused_before_its_settings(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match=r"nolog\.tsv is none\. Check the path"):
        import_log(f"{tmp_path}/nolog.tsv", [], None)
