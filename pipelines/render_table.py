"""The table of certified accuracy as Markdown, LaTeX and for the terminal."""

from collections.abc import Callable, Iterable, Sequence

from rich.table import Table
from rich.text import Text

from pipelines.cautions import cautions
from pipelines.claims import further_claims
from pipelines.cohen_log import rounded_down
from pipelines.curve import CASCADE, Curve, by_run, radius_name, table_radii
from pipelines.row_facts import FACTS
from pipelines.table_rows import ENVELOPE, Cell, Row, table_rows

Lines = list[list[str]]

UNREACHABLE = "\N{EN DASH}"
LEGEND = (
    "Certified accuracy in percent by l2 radius, with exact 95 % intervals. Clean: "
    "right without noise; smoothed: right by most votes; abstained: no certificate; "
    "all in percent. ACR: average certified radius, rounded down. "
    f"{UNREACHABLE} means that the radius is above all that could be certified; a "
    "blank, that there is no such number. The envelope is the best sigma at each "
    "radius: several classifiers, not one."
)
FACTS_LEGEND = (
    "Extra data: a part was trained on more than the data set's own training images; "
    "off the shelf: none of its networks was trained to be smoothed; both as the "
    "recipe says. Calls: of the purifier's and the classifier's networks for each "
    "noisy copy, at most."
)
_FACTS = tuple(name.replace("_", " ") for name in FACTS)
_SCORES = ("clean", "smoothed", "abstained", "ACR", "images")
LATEX_SPECIAL = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        UNREACHABLE: "--",
    }
)


def settings_lines(curves: Sequence[Curve]) -> list[str]:
    """Say what each certificate rests on, in one line if all curves agree.

    Args:
        curves: one or more.

    Returns:
        A line per distinct setting, naming its curves if there are several settings;
        then what keeps the curves from being compared as they stand.
    """
    named: dict[str, list[str]] = {}
    for curve in curves:
        who = f"{curve.run} {curve.place}"
        named.setdefault(_settings(curve), []).append(who)
    if len(named) == 1:
        return [*named, *cautions(curves)]
    lines = [f"{', '.join(who)}: {settings}" for settings, who in named.items()]
    return [*lines, *cautions(curves)]


def table_lines(curves: Sequence[Curve]) -> Lines:
    """Return the table as text: the header, then a line per row.

    Args:
        curves: one or more, of one data set.

    Returns:
        Lines of as many texts each; radii out of reach hold an en dash.
    """
    return [_header(curves), *(_line(row, _cell) for row in table_rows(curves))]


def markdown_table(curves: Sequence[Curve]) -> str:
    """Write the table in Markdown, its settings above and its legend below."""
    header, *lines = [
        [text.replace("|", "\\|") for text in line] for line in table_lines(curves)
    ]
    ruled = [header, ["---:"] * len(header), *lines]
    table = "\n".join(f"| {' | '.join(line)} |" for line in ruled)
    settings = "  \n".join(settings_lines(curves))
    return f"{settings}\n\n{table}\n\n{LEGEND} {FACTS_LEGEND}\n"


def latex_table(curves: Sequence[Curve]) -> str:
    """Write the table in LaTeX, for which no package is needed.

    Where there are several runs, the highest envelope at each radius is bold.
    """
    rows = table_rows(curves)
    best = _best_cells(rows)
    lines = [_line(row, lambda cell: _latex_cell(cell, best)) for row in rows]
    texts = [*settings_lines(curves), LEGEND, FACTS_LEGEND]
    caption = " ".join(texts).translate(LATEX_SPECIAL)
    return latex_frame(caption, _latex_line(_header(curves)), map(_latex_line, lines))


def latex_frame(caption: str, header: str, lines: Iterable[str]) -> str:
    """Return a table in LaTeX around its lines.

    Args:
        caption: escaped.
        header: first line, of which the first column is aligned left.
        lines: those below it.
    """
    columns = "r" * header.count(" & ")
    return "\n".join(
        [
            "\\begin{table}",
            f"\\caption{{{caption}}}",
            f"\\begin{{tabular}}{{l{columns}}}",
            "\\hline",
            header,
            "\\hline",
            *lines,
            "\\hline",
            "\\end{tabular}",
            "\\end{table}\n",
        ]
    )


def terminal_table(curves: Sequence[Curve]) -> Table:
    """Lay the table out for a terminal: a line per radius, a column per sigma.

    What the rows are stands in it only where several runs are compared.

    Args:
        curves: one or more, of one data set.

    Returns:
        A table for a rich console.
    """
    several = len(by_run(curves)) > 1
    legends = [LEGEND, FACTS_LEGEND] if several else [LEGEND]
    caption = "\n".join([*settings_lines(curves), " ".join(legends)])
    table = Table(caption=Text(caption), caption_justify="left")
    rows = [_line(row, _short_cell) for row in table_rows(curves)]
    (runs, sigmas, *lines) = zip(_header(curves), *rows, strict=True)
    table.add_column("l2 radius", justify="right")
    for run, sigma in zip(runs[1:], sigmas[1:], strict=True):
        name = sigma if sigma in (ENVELOPE, CASCADE) else f"sigma {sigma}"
        title = f"{run}\n{name}" if several else name
        table.add_column(Text(title), justify="right", overflow="fold")
    for line in lines if several else lines[len(_FACTS) :]:
        table.add_row(*(Text(text) for text in line))
    return table


def _settings(curve: Curve) -> str:
    settings = (
        f"{curve.num_images:,} images of {curve.dataset}, rule {curve.rule}, "
        f"{_votes(curve)}, failure probability {curve.failure_probability:g} per image."
    )
    return " ".join(
        filter(None, [settings, curve.remark, further_claims(curve.claims)])
    )


def _votes(curve: Curve) -> str:
    if curve.table_sha256 is None:
        return f"N = {curve.num_estimate:,}"
    return (
        f"{curve.mean_votes:,.0f} votes on average of N_max = {curve.num_estimate:,}, "
        f"table {curve.table_sha256[:12]}"
    )


def _header(curves: Sequence[Curve]) -> list[str]:
    radii = [radius_name(radius) for radius in table_radii(curves)]
    return ["run", "sigma", *_FACTS, *_SCORES, *radii]


def _line(row: Row, write: Callable[[Cell | None], str]) -> list[str]:
    shares = (row.clean_accuracy, row.smoothed_accuracy, row.abstention_rate)
    average = row.average_certified_radius
    return [
        row.run,
        row.name,
        *row.facts.texts(),
        *("" if share is None else f"{100 * share:.1f}" for share in shares),
        "" if average is None else rounded_down(average),
        "" if row.num_images is None else f"{row.num_images:,}",
        *(write(cell) for cell in row.cells),
    ]


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return UNREACHABLE
    return f"{cell.percent:.1f} [{cell.low:.1f}, {cell.high:.1f}]"


def _short_cell(cell: Cell | None) -> str:
    if cell is None:
        return UNREACHABLE
    return f"{cell.percent:.1f} [{cell.low:.0f}, {cell.high:.0f}]"


def _best_cells(rows: Sequence[Row]) -> list[Cell]:
    envelopes = [row for row in rows if row.name == ENVELOPE]
    if len(envelopes) == 1:
        return []
    best = []
    for column in zip(*(row.cells for row in envelopes), strict=True):
        reached = [cell for cell in column if cell is not None]
        highest = max((cell.percent for cell in reached), default=0.0)
        best += [cell for cell in reached if cell.percent == highest]
    return best


def _latex_cell(cell: Cell | None, best: Sequence[Cell]) -> str:
    if cell is None:
        return "--"
    percent = f"{cell.percent:.1f}"
    number = f"\\textbf{{{percent}}}" if any(cell is one for one in best) else percent
    return f"{number} {{\\scriptsize [{cell.low:.1f}, {cell.high:.1f}]}}"


def _latex_line(cells: Sequence[str]) -> str:
    run, sigma, architecture, *others = cells
    told = [text.translate(LATEX_SPECIAL) for text in (run, sigma, architecture)]
    return " & ".join([*told, *others]) + r" \\"
