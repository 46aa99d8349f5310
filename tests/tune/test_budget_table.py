import csv
import io
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest

from tune.budget_table import (
    Best,
    budget_csv,
    budget_latex,
    budget_markdown,
    budget_radii,
    budget_rows,
)
from tune.trial import Trial

MakeTrial = Callable[..., Trial]

EN_DASH = "\N{EN DASH}"
NEAR, FAR = 0, 6
"""Columns of radius 0 and 1.5."""


@pytest.fixture
def trials(a_trial: MakeTrial) -> list[Trial]:
    """A narrow and a wide noise at two m, a baseline of two sigmas, and others."""
    near = [0.1, 0.1, 0.1, 0.1]
    return [
        a_trial(0, near, [True] * 4, baseline="DDS standard", num_estimate=100_000),
        a_trial(1, near, [False] * 4, baseline="DDS standard", num_estimate=100_000),
        a_trial(2, near, [True] * 4, num_local=20, num_estimate=5000),
        a_trial(3, near, [True, True, True, False], num_estimate=20_000),
        a_trial(4, [1.6] * 4, [True, *[False] * 3], sigma=0.5, num_estimate=20_000),
        a_trial(5, [1.6] * 4, [True] * 4, sigma=0.5, status="stopped"),
        a_trial(6, status="failed", curve=None, score=None),
    ]


def cells_of(trials: list[Trial]) -> dict[str, tuple[Best | None, ...]]:
    return {row.label: row.cells for row in budget_rows(trials)}


def test_baselines_come_first_and_then_rows_by_local_noises(
    trials: list[Trial],
) -> None:
    labels = [row.label for row in budget_rows(trials)]

    assert labels == ["DDS standard (N 100,000)", "20,000 x 5", "5,000 x 20"]


def test_a_cell_is_the_best_finished_trial_of_its_row_and_names_it(
    trials: list[Trial],
) -> None:
    cells = cells_of(trials)["20,000 x 5"]

    assert budget_radii(trials)[FAR] == 1.5
    near, far = cells[NEAR], cells[FAR]
    assert near is not None
    assert far is not None
    assert (near.percent, near.trial.number) == (75.0, 3)
    assert (far.percent, far.trial.number) == (25.0, 4)


def test_the_interval_is_the_exact_one_of_the_best_trial(trials: list[Trial]) -> None:
    cell = cells_of(trials)["20,000 x 5"][NEAR]

    expected = binomtest(3, 4).proportion_ci(0.95, method="exact")
    assert cell is not None
    assert (cell.low, cell.high) == pytest.approx(
        (100 * expected.low, 100 * expected.high), rel=1e-9
    )


def test_every_cell_is_the_highest_accuracy_counted_one_by_one(
    a_trial: MakeTrial,
) -> None:
    generator = np.random.default_rng(0)
    trials = [
        a_trial(
            number,
            sigma * np.abs(generator.standard_normal(50)),
            generator.random(50) < 0.8,
            sigma=sigma,
            num_local=num_local,
            local_sigma=local_sigma,
        )
        for number, (sigma, num_local, local_sigma) in enumerate(
            (s, m, ls) for s in (0.25, 0.5, 1.0) for m in (1, 5) for ls in (0.1, 0.2)
        )
    ]

    for row, m in zip(budget_rows(trials), (1, 5), strict=True):
        own = [t.curve for t in trials if t.setting.num_local == m and t.curve]
        for radius, cell in zip(budget_radii(trials), row.cells, strict=True):
            counted = [
                sum(
                    r >= radius and ok
                    for r, ok in zip(c.radius, c.correct, strict=True)
                )
                for c in own
                if radius <= c.largest_radius
            ]
            assert (cell.percent if cell else None) == (
                2.0 * max(counted) if counted else None
            )


def test_a_radius_is_out_of_reach_only_if_it_is_for_all_trials_of_the_row(
    trials: list[Trial],
) -> None:
    cells = cells_of(trials)

    assert cells["20,000 x 5"][FAR] is not None
    assert cells["5,000 x 20"][FAR] is None
    assert cells["5,000 x 20"][NEAR] is not None


def test_of_equal_trials_the_first_is_named(a_trial: MakeTrial) -> None:
    (row,) = budget_rows([a_trial(5), a_trial(2), a_trial(3)])

    cell = row.cells[NEAR]
    assert cell is not None
    assert cell.trial.number == 2


def test_counts_that_differ_by_sigma_share_a_row(a_trial: MakeTrial) -> None:
    trials = [a_trial(0, num_estimate=10_000), a_trial(1, sigma=1.0, num_estimate=9800)]

    (row,) = budget_rows(trials)

    assert row.label == f"9,800{EN_DASH}10,000 x 5"
    assert "9,800--10,000 x 5 & 2 & " in budget_latex([row], budget_radii(trials), "")


def test_each_variant_has_its_baselines_and_rows(a_trial: MakeTrial) -> None:
    trials = [
        a_trial(0, variant="Gaussian"),
        a_trial(1, variant="Adversarial"),
        a_trial(2, variant="Adversarial", baseline="DDS", num_estimate=100),
    ]

    rows = [(row.variant, row.label) for row in budget_rows(trials)]

    assert rows == [
        ("Gaussian", "10,000 x 5"),
        ("Adversarial", "DDS (N 100)"),
        ("Adversarial", "10,000 x 5"),
    ]


def test_markdown_has_a_column_per_radius_and_says_what_a_cell_is(
    trials: list[Trial],
) -> None:
    rows, radii = budget_rows(trials), budget_radii(trials)
    text = budget_markdown(rows, radii, "Budget 100,000 | calls.")

    remark, table, legend = text.split("\n\n")
    header, rule, baseline, few, many = table.splitlines()
    assert remark == "Budget 100,000 | calls."
    assert header.startswith("| N x m | settings | 0.00 | 0.25 | 0.50 |")
    assert {line.count("|") for line in (header, rule, baseline)} == {len(radii) + 3}
    assert baseline.startswith(
        "| DDS standard (N 100,000) | 2 | 100.0 [39.8, 100.0] (0) |"
    )
    assert few.startswith("| 20,000 x 5 | 2 | 75.0 [19.4, 99.4] (3) |")
    assert many.endswith(f"| {EN_DASH} |")
    assert "best of several settings on the tuning images (1 to 2 by row)" in legend
    assert "too high on average" in legend
    assert "held-out" in legend


def test_a_variant_has_a_column_where_it_has_a_name(a_trial: MakeTrial) -> None:
    trials = [a_trial(variant="a|b_c")]
    rows, radii = budget_rows(trials), budget_radii(trials)

    markdown, latex = (
        write(rows, radii, "") for write in (budget_markdown, budget_latex)
    )

    assert markdown.startswith("| variant | N x m |")
    assert "| a\\|b_c | 10,000 x 5 | 1 |" in markdown
    assert r"a|b\_c & 10,000 x 5 & 1 & " in latex


def test_latex_has_as_many_columns_as_it_says(trials: list[Trial]) -> None:
    rows, radii = budget_rows(trials), budget_radii(trials)
    text = budget_latex(rows, radii, "100 % of the budget.")

    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in lines} == {len(radii) + 1}
    assert f"{{l{'r' * (len(radii) + 1)}}}" in text
    assert r"75.0 {\scriptsize [19.4, 99.4] (3)}" in text
    assert r"\caption{100 \% of the budget. Certified accuracy" in text
    assert EN_DASH not in text
    assert " -- " in text


def test_csv_has_a_line_per_cell_with_its_settings(trials: list[Trial]) -> None:
    rows, radii = budget_rows(trials), budget_radii(trials)

    lines = list(csv.DictReader(io.StringIO(budget_csv(rows, radii))))

    assert len(lines) == len(rows) * len(radii)
    (far,) = [
        one for one in lines if one["row"] == "20,000 x 5" and one["radius"] == "1.5"
    ]
    assert (far["percent"], far["sigma"], far["trial"]) == ("25.0", "0.5", "4")
    assert far["local_sigma"] == "0.25"
    assert lines[-1]["row"] == "5,000 x 20"
    assert {lines[-1][name] for name in ("percent", "low", "high", "trial")} == {""}


def test_a_study_in_which_nothing_finished_has_no_rows(a_trial: MakeTrial) -> None:
    stopped = [a_trial(status="stopped")]

    assert (budget_rows(stopped), budget_radii(stopped)) == ([], ())
