"""The table of what a budget buys: more noisy copies, or more local noises of each."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ops.score.certified_accuracy import binomial_interval, num_certified
from pipelines.curve import Curve, radius_name, table_radii
from pipelines.render_table import LATEX_SPECIAL, UNREACHABLE, latex_frame
from pipelines.table_rows import Cell
from tune.trial import Trial


@dataclass(frozen=True)
class Best(Cell):
    """The highest certified accuracy of a row at one radius, in percent, and whose."""

    trial: Trial
    """The first of those that reach it."""


@dataclass(frozen=True)
class BudgetRow:
    """One way to spend the budget, by whichever other settings do best."""

    variant: str
    label: str
    """A baseline and its N, or N x m."""

    num_settings: int
    """Finished trials that the row is the best of."""

    cells: tuple[Best | None, ...]
    """A cell per radius; ``None`` where no number of votes could reach it."""


def budget_radii(trials: Sequence[Trial]) -> tuple[float, ...]:
    """Return the radii of the table, none if no trial finished.

    Args:
        trials: those of the study.

    Returns:
        l2 distances in [0, 1] pixels, as ``table_radii`` has them.
    """
    curves = [curve for _, curve in _finished(trials)]
    return table_radii(curves) if curves else ()


def budget_rows(trials: Sequence[Trial]) -> list[BudgetRow]:
    """Take the best of all trials that spend the budget in one way, at each radius.

    Args:
        trials: those of the study; who has not finished is left out.

    Returns:
        Rows with a cell per radius of ``budget_radii``: variants in the order in which
        they were tried, in each its baselines, then its searched trials by m. A row
        has every N of its trials, which under one budget differ by sigma at most.

    Source:
        Zhang et al. 2023, DiffSmooth, arXiv:2308.14333, tables 6 and 7. Differs: each
        entry has its interval, and baselines stand above.
    """
    radii = np.array(budget_radii(trials))
    groups: dict[tuple[str, str | None, int], list[tuple[Trial, Curve]]] = {}
    for trial, curve in _finished(trials):
        groups.setdefault(_way(trial), []).append((trial, curve))
    variants = list(dict.fromkeys(variant for variant, *_ in groups))
    ordered = sorted(
        groups, key=lambda way: (variants.index(way[0]), way[1] is None, way[2])
    )
    return [_row(groups[way], radii) for way in ordered]


def budget_markdown(
    rows: Sequence[BudgetRow], radii: Sequence[float], remark: str
) -> str:
    """Write the table in Markdown, what the budget is above and its legend below.

    Args:
        rows: one or more, as ``budget_rows`` returns them.
        radii: as ``budget_radii`` returns them.
        remark: what a reader must know of the budget; may be empty.
    """
    header, *lines = [
        [text.replace("|", "\\|") for text in line]
        for line in _lines(rows, radii, _cell)
    ]
    ruled = [header, ["---:"] * len(header), *lines]
    table = "\n".join(f"| {' | '.join(line)} |" for line in ruled)
    return "\n\n".join(filter(None, [remark, table, _legend(rows)])) + "\n"


def budget_latex(rows: Sequence[BudgetRow], radii: Sequence[float], remark: str) -> str:
    """Write what ``budget_markdown`` does in LaTeX, for which no package is needed."""
    header, *lines = _lines([_escaped(row) for row in rows], radii, _latex_cell)
    caption = " ".join(filter(None, [remark, _legend(rows)])).translate(LATEX_SPECIAL)
    return latex_frame(caption, _latex_line(header), map(_latex_line, lines))


def budget_csv(rows: Sequence[BudgetRow], radii: Sequence[float]) -> str:
    """Write the table as CSV, a line per cell; one out of reach has no numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["variant", "row", "radius", "percent", "low", "high"]
    writer.writerow([*header, "sigma", "local_sigma", "trial"])
    for row in rows:
        for radius, cell in zip(radii, row.cells, strict=True):
            writer.writerow([row.variant, row.label, radius, *_numbers(cell)])
    return text.getvalue()


def _finished(trials: Sequence[Trial]) -> list[tuple[Trial, Curve]]:
    return [
        (trial, trial.curve)
        for trial in sorted(trials, key=lambda trial: trial.number)
        if trial.status == "finished" and trial.curve is not None
    ]


def _way(trial: Trial) -> tuple[str, str | None, int]:
    """Return what the trials of one row share."""
    searched = trial.baseline is None
    num_local = trial.setting.num_local if searched else 0
    return trial.setting.variant, trial.baseline, num_local


def _row(group: Sequence[tuple[Trial, Curve]], radii: np.ndarray) -> BudgetRow:
    trial, _ = group[0]
    counts = {one.setting.num_estimate for one, _ in group}
    copies = _span(min(counts), max(counts), UNREACHABLE)
    if trial.baseline is None:
        label = f"{copies} x {trial.setting.num_local}"
    else:
        label = f"{trial.baseline} (N {copies})"
    candidates = [_cells(*one, radii) for one in group]
    best = tuple(
        max(filter(None, column), key=lambda cell: cell.percent, default=None)
        for column in zip(*candidates, strict=True)
    )
    return BudgetRow(trial.setting.variant, label, len(group), best)


def _cells(trial: Trial, curve: Curve, radii: np.ndarray) -> tuple[Best | None, ...]:
    certified = num_certified(curve.correct, curve.radius, radii)
    low, high = binomial_interval(certified, curve.num_images)
    percent = 100 * certified / curve.num_images
    return tuple(
        Best(*(float(number) for number in numbers), trial=trial) if within else None
        for within, *numbers in zip(
            radii <= curve.largest_radius, percent, low, high, strict=True
        )
    )


def _lines(
    rows: Sequence[BudgetRow],
    radii: Sequence[float],
    write: Callable[[Best], str],
) -> list[list[str]]:
    """Return the header, then a line per row; variants only if they have names."""
    lines = [["variant", "N x m", "settings", *map(radius_name, radii)]]
    for row in rows:
        written = [write(cell) if cell else UNREACHABLE for cell in row.cells]
        lines.append([row.variant, row.label, str(row.num_settings), *written])
    named = any(row.variant for row in rows)
    return lines if named else [line[1:] for line in lines]


def _cell(cell: Best) -> str:
    interval = f"[{cell.low:.1f}, {cell.high:.1f}]"
    return f"{cell.percent:.1f} {interval} ({cell.trial.number})"


def _latex_cell(cell: Best) -> str:
    percent, _, others = _cell(cell).partition(" ")
    return f"{percent} {{\\scriptsize {others}}}"


def _latex_line(line: Sequence[str]) -> str:
    return " & ".join(line).replace(UNREACHABLE, "--") + r" \\"


def _escaped(row: BudgetRow) -> BudgetRow:
    variant, label = (
        name.translate(LATEX_SPECIAL) for name in (row.variant, row.label)
    )
    return replace(row, variant=variant, label=label)


def _numbers(cell: Best | None) -> list[float | int | None]:
    if cell is None:
        return [None] * 6
    setting = cell.trial.setting
    sigmas = [setting.sigma, setting.local_sigma]
    return [cell.percent, cell.low, cell.high, *sigmas, cell.trial.number]


def _legend(rows: Sequence[BudgetRow]) -> str:
    sizes = [row.num_settings for row in rows]
    return (
        "Certified accuracy in percent by l2 radius, with its exact 95 % interval and, "
        "in round brackets, the trial that has it. N x m: noisy copies of an image by "
        f"local noises of each copy. {UNREACHABLE} means that the radius is above all "
        "that a row could certify. Each entry is the best of several settings on the "
        f"tuning images ({_span(min(sizes), max(sizes), ' to ')} by row), hence too "
        "high on average: quote a confirmation on held-out images instead."
    )


def _span(low: int, high: int, joint: str) -> str:
    return f"{low:,}" if low == high else f"{low:,}{joint}{high:,}"
