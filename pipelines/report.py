"""Certificates as tables, curves, a page to read and logs to exchange."""

from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from rich.table import Table

from pipelines.cohen_log import cohen_log
from pipelines.curve import Curve, by_run, metrics
from pipelines.render_csv import csv_table
from pipelines.render_curve import draw_curves
from pipelines.render_table import (
    FACTS_LEGEND,
    LEGEND,
    latex_table,
    markdown_table,
    settings_lines,
    table_lines,
    terminal_table,
)

__all__ = ["Curve", "metrics", "render", "summary_table"]


def render(curves: Sequence[Curve]) -> dict[str, bytes]:
    """Write every file of a report; the same certificates give the same bytes.

    Args:
        curves: one or more, of one data set, each run and sigma once, in any order.

    Returns:
        Contents by file name: ``table.md``, ``table.tex``, ``table.csv``,
        ``curve.svg``, ``curve.png``, ``index.html``, and a log of certificates,
        ``certify.tsv``, or one per curve named for its run and sigma.

    Raises:
        ValueError: there are no curves, several data sets, a curve twice, or one that
            has no images.
    """
    curves = _checked(curves)
    pictures = draw_curves(curves)
    texts = {
        "table.md": markdown_table(curves),
        "table.tex": latex_table(curves),
        "table.csv": csv_table(curves),
        "index.html": _page(curves, pictures["svg"].decode()),
    } | _logs(curves)
    drawn = {f"curve.{kind}": picture for kind, picture in pictures.items()}
    return {name: text.encode() for name, text in texts.items()} | drawn


def summary_table(curves: Sequence[Curve]) -> Table:
    """Return the table of certified accuracy for a terminal.

    Args:
        curves: as ``render`` takes them.

    Returns:
        A table for a rich console: a line per radius, a column per sigma.

    Raises:
        ValueError: as ``render`` raises it.
    """
    return terminal_table(_checked(curves))


def _checked(curves: Sequence[Curve]) -> list[Curve]:
    ordered = [curve for own in by_run(curves).values() for curve in own]
    datasets = sorted({curve.dataset for curve in ordered})
    if len(datasets) != 1:
        raise ValueError(
            f"A report needs curves of one data set; {len(curves)} curves have "
            f"{datasets}. Report each data set by itself."
        )
    for curve, times in Counter((one.run, one.place) for one in ordered).items():
        if times > 1:
            raise ValueError(
                f"A report needs each run and sigma once; {' '.join(curve)} "
                f"comes {times} times. Give the runs different names."
            )
    for curve in ordered:
        if curve.num_images == 0:
            raise ValueError(
                f"A report needs certified images; {curve.run} {curve.place} has none. "
                f"Certify at least one image first."
            )
    return ordered


def _logs(curves: Sequence[Curve]) -> dict[str, str]:
    if len(curves) == 1:
        return {"certify.tsv": cohen_log(curves[0])}
    several = len(by_run(curves)) > 1
    logs = {}
    for curve in curves:
        run = f"{quote(curve.run, safe='')}_" if several else ""
        logs[f"certify_{run}{curve.name}.tsv"] = cohen_log(curve)
    return logs


def _page(curves: Sequence[Curve], svg: str) -> str:
    environment = Environment(
        loader=PackageLoader("pipelines"), autoescape=True, undefined=StrictUndefined
    )
    header, *lines = table_lines(curves)
    return environment.get_template("report.html").render(
        title=f"{', '.join(by_run(curves))} on {curves[0].dataset}",
        settings=settings_lines(curves),
        header=header,
        lines=lines,
        legend=f"{LEGEND} {FACTS_LEGEND}",
        svg=svg[svg.index("<svg") :],
        reasons=_reasons(curves),
    )


def _reasons(curves: Sequence[Curve]) -> list[tuple[str, float | str, str, int]]:
    reasons = []
    for curve in curves:
        counts = Counter(filter(None, curve.column("reason")[curve.radius == 0]))
        where = curve.sigma or curve.name
        reasons += [(curve.run, where, *item) for item in sorted(counts.items())]
    return reasons
