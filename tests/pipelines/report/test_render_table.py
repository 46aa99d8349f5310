import csv
import io
from collections.abc import Callable, Mapping

import pytest
from rich.console import Console

from pipelines.render_table import markdown_table, table_lines
from pipelines.report import Curve, render, summary_table
from pipelines.table_rows import table_rows

MakeCurve = Callable[..., Curve]

EN_DASH = "\N{EN DASH}"


def markdown_rows(files: Mapping[str, bytes]) -> list[dict[str, str]]:
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in files["table.md"].decode().splitlines()
        if line.startswith("|")
    ]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_table_counts_right_classes_with_radius_at_least_r(a_curve: MakeCurve) -> None:
    (row, _) = markdown_rows(render([a_curve()]))

    assert row["0.00"].startswith("50.0 [6.8, 93.2]")
    assert row["0.25"].startswith("50.0 ")
    assert row["0.50"].startswith("25.0 ")
    assert row["0.75"].startswith("0.0 ")
    assert row["clean"] == "75.0"
    assert row["smoothed"] == "25.0"
    assert row["abstained"] == "25.0"
    assert row["ACR"] == "0.231"
    assert row["images"] == "4"


def test_en_dash_marks_radii_that_no_vote_count_reaches(a_curve: MakeCurve) -> None:
    narrow, wide, envelope = markdown_rows(render([a_curve(sigma=0.5), a_curve()]))

    # 3.1986 sigma: 0.79 and 1.59.
    assert list(narrow)[-1] == "1.75"
    assert narrow["0.75"] != EN_DASH
    assert narrow["1.00"] == narrow["1.50"] == narrow["1.75"] == EN_DASH
    assert wide["1.50"].startswith("0.0 ")
    assert wide["1.75"] == envelope["1.75"] == EN_DASH


def test_envelope_takes_the_best_sigma_at_each_radius(a_curve: MakeCurve) -> None:
    near = a_curve(images=[(0, 0, False, 0.1)] * 4)
    far = a_curve(sigma=0.5, images=[(0, 0, False, 1.3), *[(0, 1, False, 0.1)] * 3])

    envelope = markdown_rows(render([near, far]))[-1]

    assert envelope["sigma"] == "envelope"
    assert envelope["0.00"].startswith("100.0 ")
    assert envelope["0.25"].startswith("25.0 ")
    assert envelope["1.25"].startswith("25.0 ")


def test_envelope_over_unequal_subsets_names_no_number_of_images(
    a_curve: MakeCurve,
) -> None:
    fewer = a_curve(sigma=0.5, images=[(1, 1, False, 0.625)] * 3)

    *_, envelope = markdown_rows(render([a_curve(), fewer]))

    assert envelope["images"] == ""


def test_settings_stand_in_every_text(a_curve: MakeCurve) -> None:
    files = render([a_curve()])
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(summary_table([a_curve()]))

    texts = [files[name].decode() for name in ("table.md", "table.tex", "index.html")]
    for text in [*texts, " ".join(console.export_text().split())]:
        assert "4 images of digits, rule fixed, N = 10,000" in text
        assert "failure probability 0.001 per image" in text


def test_curves_with_different_settings_are_told_apart(a_curve: MakeCurve) -> None:
    text = render([a_curve("a"), a_curve("b", num_estimate=1000)])["table.md"].decode()

    assert "a at sigma 0.25: 4 images of digits, rule fixed, N = 10,000" in text
    assert "b at sigma 0.25: 4 images of digits, rule fixed, N = 1,000" in text


def test_latex_sets_the_best_run_in_bold_and_escapes_its_name(
    a_curve: MakeCurve,
) -> None:
    better = [(0, 0, False, 0.4)] * 4
    single = render([a_curve("run_a")])["table.tex"].decode()
    several = render([a_curve("run_a"), a_curve("run_b", images=better)])

    bold = [
        line for line in several["table.tex"].decode().splitlines() if "textbf" in line
    ]
    assert "textbf" not in single
    assert r"run\_a & envelope" in single
    assert " -- " in single
    assert EN_DASH not in single
    assert len(bold) == 2
    assert bold[0].startswith(r"run\_a & envelope")
    assert bold[1].startswith(r"run\_b & envelope")
    assert r"\textbf{100.0}" in bold[1]
    assert r"\textbf{25.0}" in bold[0]


def test_csv_keeps_numbers_in_full_and_leaves_unreachable_radii_empty(
    a_curve: MakeCurve,
) -> None:
    text = render([a_curve()])["table.csv"].decode()

    row, envelope = list(csv.DictReader(io.StringIO(text)))

    assert float(row["acr"]) == pytest.approx(0.23125)
    assert float(row["certified_r_0.50_percent"]) == 25.0
    assert float(row["certified_r_0.00_low"]) == pytest.approx(6.7586, abs=1e-4)
    assert row["certified_r_1.00_percent"] == ""
    assert (row["rule"], row["num_estimate"]) == ("fixed", "10000")
    assert envelope["sigma"] == "envelope"


def test_terminal_table_has_a_line_per_radius(a_curve: MakeCurve) -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(summary_table([a_curve(), a_curve(sigma=0.5)]))

    text = console.export_text()
    line = next(line for line in text.splitlines() if "0.50" in line)
    assert line.count("25.0 [") == 3
    assert "sigma 0.5" in text


def test_average_radii_of_several_rules_do_not_stand_side_by_side(
    a_curve: MakeCurve,
) -> None:
    table = {"rule": "sequential, default", "radii": (0.0, 0.25), "table_sha256": "ab"}
    fixed, other = a_curve(), a_curve(run="other")
    sequential = a_curve(run="sequential", **table)
    imported = a_curve(run="log", rule="imported")
    finer = a_curve(run="finer", **{**table, "radii": (0.0, 0.1, 0.25)})

    def shown(*curves: Curve) -> set[bool]:
        rows = table_rows(curves)
        return {r.average_certified_radius is not None for r in rows if r.sigma}

    assert shown(fixed, other) == shown(fixed, imported) == shown(sequential) == {True}
    assert shown(fixed, sequential) == shown(imported, sequential) == {False}
    assert shown(sequential, finer) == {False}
    assert "so ACR is left out" in markdown_table([fixed, sequential])


def test_radii_that_a_rule_names_have_columns_of_their_own(a_curve: MakeCurve) -> None:
    named = {"radii": (0.0, 0.125, 0.3), "table_sha256": "ab"}

    header = table_lines([a_curve(rule="sequential, default", **named)])[0]

    assert header[-5:] == ["0.00", "0.125", "0.25", "0.30", "0.50"]
