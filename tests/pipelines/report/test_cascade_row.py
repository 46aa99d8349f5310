"""The row of a cascade beside its sigmas, in every form of the table."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from pipelines.cautions import comparable_acr
from pipelines.curve import Curve, by_run, metrics, single, table_radii
from pipelines.report import render, summary_table
from pipelines.table_rows import table_rows

MakeCurve = Callable[..., Curve]

GOOD = [(0, 0, False, 1.3)] * 4
NAMES = ["0.25", "0.5", "envelope", "cascade"]


@pytest.fixture
def curves(a_curve: MakeCurve) -> list[Curve]:
    """Return two sigmas that certify little, and a cascade that certifies all."""
    sigmas = [a_curve(rule="cascade"), a_curve(sigma=0.5, rule="cascade")]
    cascade = a_curve(
        sigma=None,
        images=GOOD,
        rule="cascade",
        failure_probability=2e-3,
        stages=tuple(sigmas),
    )
    return [cascade, *sigmas]


def test_a_cascade_comes_last_and_is_no_part_of_the_envelope(
    curves: list[Curve],
) -> None:
    rows = table_rows(curves)
    shares = {row.name: row.cells[0].percent for row in rows if row.cells[0]}

    assert [row.name for row in rows] == NAMES
    assert shares == {"0.25": 50.0, "0.5": 50.0, "envelope": 50.0, "cascade": 100.0}
    assert [row.sigma for row in rows] == [0.25, 0.5, None, None]
    assert single(curves) == curves[1:]


def test_a_cascade_reaches_as_far_as_its_largest_sigma(curves: list[Curve]) -> None:
    cascade = curves[0]

    assert cascade.largest_radius == curves[2].largest_radius
    assert table_radii([cascade]) == table_radii([curves[2]])
    assert metrics(cascade)["certified_accuracy/r_1.25"] == 1.0


def test_every_table_has_the_row_of_the_cascade(curves: list[Curve]) -> None:
    files = {name: data for name, data in render(curves).items() if "." in name}
    rows = list(csv.DictReader(io.StringIO(files["table.csv"].decode())))
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(summary_table(curves))
    shown = console.export_text()

    assert [row["sigma"] for row in rows] == NAMES
    assert [row["failure_probability"] for row in rows] == [
        *["0.001"] * 3,
        "0.002",
    ]
    assert rows[3]["certified_r_1.25_percent"] == "100.0"
    assert rows[3]["acr"] == "1.3"
    assert "| digits | cascade |" in files["table.md"].decode()
    assert "digits as a cascade: 4 images" in files["table.md"].decode()
    assert "cascade" in shown
    assert "sigma cascade" not in shown
    assert "cascade (up to" in files["curve.svg"].decode()
    assert "certify_cascade.tsv" in files
    assert "<td>cascade</td>" in files["index.html"].decode()


def test_its_average_radius_may_stand_beside_that_of_one_look(
    curves: list[Curve], a_curve: MakeCurve
) -> None:
    assert comparable_acr([*curves, a_curve("other")])
    assert not comparable_acr([*curves, a_curve("other", rule="sequential, default")])


def test_a_cascade_that_comes_twice_is_refused(curves: list[Curve]) -> None:
    with pytest.raises(ValueError, match="digits as a cascade comes 2 times"):
        render([*curves, curves[0]])


def test_cascades_of_two_runs_stand_with_their_own(curves: list[Curve]) -> None:
    others = [replace(curve, run="z") for curve in curves]

    grouped = by_run([*others, *curves])

    assert [curve.name for curve in grouped["z"]] == ["0.25", "0.5", "cascade"]
    assert [row.name for row in table_rows([*others, *curves])] == NAMES * 2
