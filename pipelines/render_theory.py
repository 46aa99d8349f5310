"""The table of theorems as CSV, Markdown and for the terminal, and its picture."""

import csv
import io
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipelines.render_curve import saved
from pipelines.theory_row import DiffusionRow, TheoryRow

LEGEND = (
    "Lengths are l2 distances to the clean image in [0, 1] pixels; C, tau and s "
    "belong to the [-1, 1] range. Bounds are medians over copies; each copy is "
    "compared with its own. C is an estimate: twice the longest score that was met, "
    "where the theorem asks for the longest of all. The bounds are loose by "
    "construction, because they allow noise of about s on every pixel once more: a "
    "diagnostic of the purifier, no certificate. Theorem 2 bounds the distance to the "
    "mean of the images that may be behind a copy; its printed form needs a mean "
    "squared error of the predicted noise of at least 1, the other holds always. The "
    "Frechet distance stands for theorem 3.3; it depends on the features and on the "
    "number of images, so compare it only within this table."
)

_ROW: dict[str, Callable[[TheoryRow], Any]] = {
    "recipe": lambda row: row.recipe,
    "purifier": lambda row: row.purifier,
    "sigma": lambda row: row.sigma,
    "images": lambda row: row.num_images,
    "copies": lambda row: row.num_copies,
    "d": lambda row: row.num_pixels,
    "noisy_median": lambda row: row.noisy_median,
    "purified_median": lambda row: row.median,
    "purified_max": lambda row: row.largest,
    "purified_rms": lambda row: row.root_mean_square,
    "frechet_distance": lambda row: row.distance_to_data,
    "certified_at_0": lambda row: row.certified and row.certified.at_zero,
    "certified_at_sigma": lambda row: row.certified and row.certified.at_sigma,
    "acr": lambda row: row.certified and row.certified.average_radius,
}

_DIFFUSION: dict[str, Callable[[DiffusionRow], float]] = {
    "tau": lambda one: one.time,
    "s": lambda one: one.level,
    "C_estimate": lambda one: one.score_bound,
    "theorem1_printed": lambda one: one.printed,
    "theorem1_rederived": lambda one: one.rederived,
    "within_printed": lambda one: one.within_printed,
    "within_rederived": lambda one: one.within_rederived,
    "theorem2_printed": lambda one: one.theorem2_printed,
    "theorem2_valid": lambda one: one.theorem2_valid,
    "noise_error": lambda one: one.mean_error,
}

_BEFORE_THEOREMS = 10
"""Columns of a row that stand before those of its diffusion model."""


def theory_csv(rows: Sequence[TheoryRow]) -> str:
    """Write the table as CSV, numbers in full; what there is none of is empty.

    Args:
        rows: one or more.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_header())
    writer.writerows(_values(row) for row in rows)
    return text.getvalue()


def theory_lines(rows: Sequence[TheoryRow]) -> list[list[str]]:
    """Return the table as text: the header, then a line per row.

    Args:
        rows: one or more.
    """
    lines = [[_text(value) for value in _values(row)] for row in rows]
    return [_header(), *lines]


def theory_markdown(rows: Sequence[TheoryRow], remarks: Sequence[str]) -> str:
    """Write the table in Markdown, its remarks and its legend below.

    Args:
        rows: one or more.
        remarks: sentences.
    """
    header, *lines = theory_lines(rows)
    ruled = [header, ["---:"] * len(header), *lines]
    table = "\n".join(f"| {' | '.join(line)} |" for line in ruled)
    return "\n\n".join([table, *remarks, LEGEND]) + "\n"


def theory_picture(rows: Sequence[TheoryRow]) -> bytes:
    """Draw bounds and measured distances by sigma, a panel per recipe, as PNG.

    Args:
        rows: one or more.
    """
    panels = [(name, list(own)) for name, own in groupby(rows, lambda row: row.recipe)]
    with rc_context({"svg.hashsalt": "diffsmooth", "font.size": 11}):
        size = (6 * len(panels), 5)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        all_axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, (name, own) in zip(all_axes, panels, strict=True):
            _draw(axes, name, sorted(own, key=lambda row: row.sigma))
        all_axes[0].set_ylabel("l2 distance to the clean image, [0, 1] pixels")
        return saved(figure)["png"]


def _draw(axes: Axes, name: str, rows: Sequence[TheoryRow]) -> None:
    every = [row.sigma for row in rows]
    known = [(row.sigma, row.diffusion) for row in rows if row.diffusion]
    sigmas = [sigma for sigma, _ in known]
    lines = [
        ("purified, median", "o-", every, [row.median for row in rows]),
        ("purified, farthest", "o:", every, [row.largest for row in rows]),
        ("theorem 1, re-derived", "s--", sigmas, [one.rederived for _, one in known]),
        ("theorem 1, printed", "x--", sigmas, [one.printed for _, one in known]),
        ("theorem 2, valid", "^-.", sigmas, [one.theorem2_valid for _, one in known]),
    ]
    for label, style, where, heights in lines:
        if where:
            axes.plot(where, heights, style, label=label)
    axes.set_yscale("log")
    axes.set_xlabel("sigma, [0, 1] pixels")
    axes.set_title(name)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


def _header() -> list[str]:
    own = list(_ROW)
    return [*own[:_BEFORE_THEOREMS], *_DIFFUSION, *own[_BEFORE_THEOREMS:]]


def _values(row: TheoryRow) -> list[Any]:
    own = [value(row) for value in _ROW.values()]
    one = row.diffusion
    theorems = [value(one) if one else None for value in _DIFFUSION.values()]
    return [*own[:_BEFORE_THEOREMS], *theorems, *own[_BEFORE_THEOREMS:]]


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
