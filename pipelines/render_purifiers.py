"""How good purifiers are, as a table: for the terminal, as Markdown and as CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import fields

from rich.table import Table
from rich.text import Text

from pipelines.purifier_quality import Quality

_NUMBERS: dict[str, Callable[[Quality], str]] = {
    "images": lambda one: f"{one.num_images:,}",
    "PSNR noisy": lambda one: f"{one.noisy_psnr:.2f}",
    "PSNR purified": lambda one: f"{one.purified_psnr:.2f}",
    "distance noisy": lambda one: f"{one.noisy_distance:.4f}",
    "distance purified": lambda one: f"{one.purified_distance:.4f}",
    "same class": lambda one: f"{100 * one.same_class:.1f}",
    "right class": lambda one: f"{100 * one.right_class:.1f}",
    "right clean": lambda one: f"{100 * one.right_clean:.1f}",
    "noise left": lambda one: f"{one.noise_left:.4f}",
    "calls": lambda one: f"{one.calls_per_copy:,}",
    "samples": lambda one: f"{one.samples_per_copy:,}",
    "s/copy": lambda one: f"{one.seconds_per_copy:.2e}",
}
_COLUMNS: dict[str, Callable[[Quality], str]] = {
    "method": lambda one: one.method,
    "sigma": lambda one: f"{one.sigma:g}",
    **_NUMBERS,
}


def purifier_table(lines: Sequence[Quality]) -> Table:
    """Return the table for a terminal: a line per quantity, its legend below.

    Args:
        lines: at least one, in the order to show.
    """
    table = Table(caption=legend(lines), caption_justify="left")
    table.add_column("", no_wrap=True)
    for line in lines:
        heading = f"{line.method} at {line.sigma:g}"
        table.add_column(Text(heading), justify="right", overflow="fold")
    for what, write in _NUMBERS.items():
        table.add_row(what, *(Text(write(line)) for line in lines))
    return table


def purifier_markdown(lines: Sequence[Quality]) -> str:
    """Write the table in Markdown, its legend below.

    Args:
        lines: at least one, in the order to show.
    """
    cells = [list(_COLUMNS), ["---:"] * len(_COLUMNS)]
    cells += [[write(line) for write in _COLUMNS.values()] for line in lines]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in cells]
    table = "\n".join(f"| {' | '.join(row)} |" for row in escaped)
    return f"{table}\n\n{legend(lines)}\n"


def purifier_csv(lines: Sequence[Quality]) -> str:
    """Write the table as CSV, numbers in full, shares from 0 to 1.

    Args:
        lines: in the order to show.
    """
    names = [field.name for field in fields(Quality)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(line, name) for name in names] for line in lines)
    return text.getvalue()


def legend(lines: Sequence[Quality]) -> str:
    """Return what the columns mean, and what measured the distances.

    Args:
        lines: at least one.
    """
    measured = {f"{one.sigma:g}": one.distance for one in lines}
    same = len(set(measured.values())) == 1
    distances = (
        lines[0].distance
        if same
        else "; ".join(f"at {sigma} {said}" for sigma, said in measured.items())
    )
    devices = ", ".join(dict.fromkeys(one.device for one in lines))
    return (
        f"One noisy copy of each image, the same for all methods. PSNR in dB: of noisy "
        f"copies cut to [0, 1], of purified ones as they are. Distance from the clean "
        f"image, both cut: {distances}. Classes of purified copies by the method's own "
        f"classifier alone, in percent: the same as without noise, the true one, and "
        f"the true one without noise. Noise left: std of purified minus clean, in "
        f"[0, 1] pixels. Calls of the purifier's network, purified samples and seconds "
        f"for each copy, on {devices}."
    )
