"""A table of ``make table1-digits`` or ``table1-cifar10`` beside the published one.

Run: ``python tests/bench/table1.py runs/table1-digits``. Prints Markdown: the
envelope of each row with its 95 % interval, what the row is, and the published number.
"""

import csv
import sys
from pathlib import Path

PUBLISHED = {
    "Gaussian": (75.0, 60.0, 42.8, 32.0, 23.0),
    "SmoothAdv": (73.6, 66.8, 57.2, 47.2, 37.6),
    "SmoothAdv + extra data": (80.8, 71.4, 63.2, 52.6, 39.4),
    "MACER": (81.0, 71.0, 59.0, 47.0, 38.8),
    "Consistency": (77.8, 68.8, 58.1, 48.5, 37.8),
    "SmoothMix": (77.1, 67.9, 57.9, 47.7, 37.2),
    "Boosting": (83.4, 70.6, 60.4, 52.4, 38.8),
    "DDS (Standard)": (79.0, 62.0, 45.8, 32.6, 25.0),
    "DDS (Smoothed)": (79.8, 69.9, 55.0, 47.6, 37.4),
    "DiffSmooth (Gaussian)": (78.2, 67.2, 59.2, 47.0, 37.4),
    "DiffSmooth (SmoothAdv)": (82.8, 72.0, 62.8, 51.2, 41.2),
    "DiffSmooth (SmoothAdv) + extra data": (85.4, 76.2, 65.6, 57.0, 43.6),
}
"""Zhang et al. 2023, arXiv:2308.14333, Table 1: CIFAR-10, ResNet-110, N = 100,000."""

RADII = ("0.00", "0.25", "0.50", "0.75", "1.00")
FACTS = ("architecture", "extra_data", "off_the_shelf", "purifier_calls")


def main() -> None:
    """Print the table of a folder of runs."""
    with (Path(sys.argv[1]) / "report" / "report" / "table.csv").open() as file:
        lines_of = {row["run"]: row for row in csv.DictReader(file)}  # envelopes last
    rows = [lines_of[method] for method in PUBLISHED if method in lines_of]
    titles = ["method", "architecture", "extra data", "off the shelf", "purifier calls"]
    lines = [[*titles, *(f"r = {float(radius):g}" for radius in RADII)]]
    lines.append(["---"] * 5 + ["---:"] * len(RADII))
    for row in rows:
        own = [row["run"], *(row[name] for name in FACTS)]
        lines.append([*own, *(_cell(row, radius) for radius in RADII)])
        seed = [f"{percent:.1f}" for percent in PUBLISHED[row["run"]]]
        lines.append(["*published*", "ResNet-110", "", "", "", *seed])
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(row: dict[str, str], radius: str) -> str:
    name = f"certified_r_{radius}"
    if not row.get(f"{name}_percent"):
        return "\N{EN DASH}"
    low, high = (float(row[f"{name}_{end}"]) for end in ("low", "high"))
    return f"{float(row[f'{name}_percent']):.1f} [{low:.0f}, {high:.0f}]"


if __name__ == "__main__":
    main()
