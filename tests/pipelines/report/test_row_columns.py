"""The columns that say what a row is, beside those that say how good it is."""

import csv
import io
from collections.abc import Callable, Mapping

import pytest
from rich.console import Console

from pipelines.report import Curve, render, summary_table
from pipelines.row_facts import RowFacts

MakeCurve = Callable[..., Curve]

SAID = RowFacts("WRN_28|10", True, False, purifier_calls=1, classifier_calls=5)
IMAGES = [(1, 1, False, 0.625), (2, 2, False, 0.3)]
FACTS = ["architecture", "extra data", "off the shelf"]
CALLS = ["purifier calls", "classifier calls"]


@pytest.fixture
def pair(a_curve: MakeCurve) -> list[Curve]:
    """Return a run that says everything, and one that says nothing."""
    rest = {"images": IMAGES, "num_estimate": 10}
    said = a_curve("DiffSmooth (SmoothAdv)", facts=SAID, **rest)
    return [said, a_curve("theirs", **rest)]


def lines_of(files: Mapping[str, bytes], name: str, *starts: str) -> list[str]:
    """Return the lines of a file that begin so."""
    return [x for x in files[name].decode().splitlines() if x.startswith(starts)]


def shown(*curves: Curve) -> list[list[str]]:
    """Return the cells of each line of the terminal's table."""
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(summary_table(curves))
    lines = console.export_text().splitlines()
    return [[c.strip() for c in x.split("│")[1:-1]] for x in lines if x[:1] == "│"]


def test_markdown_says_what_each_row_is(pair: list[Curve]) -> None:
    lines = lines_of(render(pair), "table.md", "| run", "| Diff", "| theirs")

    assert lines == [
        "| run | sigma | architecture | extra data | off the shelf | purifier calls "
        "| classifier calls | clean | smoothed | abstained | ACR | images | 0.00 "
        "| 0.25 |",
        "| DiffSmooth (SmoothAdv) | 0.25 | WRN_28\\|10 | yes | no | 1 | 5 | 100.0 "
        "| 50.0 | 0.0 | 0.462 | 2 | 100.0 [15.8, 100.0] | \N{EN DASH} |",
        "| DiffSmooth (SmoothAdv) | envelope | WRN_28\\|10 | yes | no | 1 | 5 |  |  |  "
        "|  | 2 | 100.0 [15.8, 100.0] | \N{EN DASH} |",
        "| theirs | 0.25 |  |  |  |  |  | 100.0 | 50.0 | 0.0 | 0.462 | 2 "
        "| 100.0 [15.8, 100.0] | \N{EN DASH} |",
        "| theirs | envelope |  |  |  |  |  |  |  |  |  | 2 "
        "| 100.0 [15.8, 100.0] | \N{EN DASH} |",
    ]


def test_latex_says_what_each_row_is(pair: list[Curve]) -> None:
    said, _, silent, _ = lines_of(render(pair), "table.tex", "DiffSmooth", "theirs")

    assert said == (
        r"DiffSmooth (SmoothAdv) & 0.25 & WRN\_28|10 & yes & no & 1 & 5 & 100.0 & 50.0 "
        r"& 0.0 & 0.462 & 2 & 100.0 {\scriptsize [15.8, 100.0]} & -- \\"
    )
    assert silent == (
        r"theirs & 0.25 &  &  &  &  &  & 100.0 & 50.0 & 0.0 & 0.462 & 2 "
        r"& 100.0 {\scriptsize [15.8, 100.0]} & -- \\"
    )


def test_csv_has_its_new_columns_behind_the_old_ones(pair: list[Curve]) -> None:
    text = render(pair)["table.csv"].decode()

    header = text.splitlines()[0]
    rows = [line.rsplit(",", 5)[1:] for line in text.splitlines()[1:]]
    by_name = list(csv.DictReader(io.StringIO(text)))
    assert header.startswith("run,sigma,dataset,rule,")
    assert header.endswith(
        "certified_r_0.25_high,"
        "architecture,extra_data,off_the_shelf,purifier_calls,classifier_calls"
    )
    assert rows == [["WRN_28|10", "yes", "no", "1", "5"]] * 2 + [[""] * 5] * 2
    assert by_name[2]["run"] == "theirs"
    assert by_name[0]["classifier_calls"] == "5"


def test_the_page_says_what_each_row_is(pair: list[Curve]) -> None:
    page = render(pair)["index.html"].decode()

    heads = "".join(f"<th>{head}</th>" for head in [*FACTS, *CALLS])
    assert f"<th>sigma</th>{heads}<th>clean</th>" in page
    assert "<td>WRN_28|10</td><td>yes</td><td>no</td><td>1</td><td>5</td>" in page
    assert "off the shelf: none of its networks" in page


def test_the_terminal_says_it_of_several_runs(pair: list[Curve]) -> None:
    assert shown(*pair)[:6] == [
        ["architecture", "WRN_28|10", "WRN_28|10", "", ""],
        ["extra data", "yes", "yes", "", ""],
        ["off the shelf", "no", "no", "", ""],
        ["purifier calls", "1", "1", "", ""],
        ["classifier calls", "5", "5", "", ""],
        ["clean", "100.0", "", "100.0", ""],
    ]


def test_the_terminal_leaves_it_out_for_one_run(a_curve: MakeCurve) -> None:
    curves = [a_curve(facts=SAID), a_curve(sigma=0.5, facts=SAID)]
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(summary_table(curves))

    assert [line[0] for line in shown(*curves)][:2] == ["clean", "smoothed"]
    assert "shelf" not in console.export_text()


def test_an_envelope_says_what_all_its_sigmas_are(a_curve: MakeCurve) -> None:
    other = RowFacts("WRN_28|10", True, True, purifier_calls=1, classifier_calls=1)
    curves = [a_curve(facts=SAID), a_curve(sigma=0.5, facts=other)]

    lines = render(curves)["table.csv"].decode().splitlines()

    assert lines[-1].rsplit(",", 5)[1:] == ["WRN_28|10", "yes", "", "1", ""]
