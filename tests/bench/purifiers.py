"""The table of ``make purifiers-digits``: what each purifier certifies and costs.

Run: ``python tests/bench/purifiers.py runs/purifiers-digits``. Prints Markdown: the
envelope over the sigmas of each row with its 95 % interval, calls of the purifier for
each noisy copy and votes per second of one actor at each sigma, and the published
number.
"""

import csv
import sys
from pathlib import Path

import pyarrow.parquet as pq

ROWS = {
    "dncnn": ("DnCNN", None),
    "dds": ("one-shot DDPM", (87.6, 73.6, 55.6, 39.2, 29.6)),
    "edm": ("one-shot EDM", (87.4, 76.2, 58.8, 40.8, 32.4)),
    "pf_ode": ("PF-ODE, 18 levels", (89.6, 77.0, 60.4, 42.6, 34.0)),
    "densepure": ("DensePure, 5 steps, 5 votes", None),
    "calibrated": ("diffusion calibration", (90.2, 76.4, 57.2, 42.6, 32.4)),
    "consistency_purification": ("consistency", (90.4, 77.2, 59.8, 42.8, 33.2)),
    "consistency_finetuned": (
        "consistency + fine-tuning",
        (90.2, 79.4, 62.4, 43.8, 35.4),
    ),
    "multiscale": ("multi-scale cascade", None),
}
"""Name of a folder of runs, what it is, and Li et al. 2024, arXiv:2407.00623, Table 2:
CIFAR-10; ``None`` where it has no row."""

JOINED = ("envelope", "cascade")
"""What a row over all sigmas has in the column of sigma."""

RADII = ("0.00", "0.25", "0.50", "0.75", "1.00")


def main() -> None:
    """Print the table of a folder of runs."""
    folder = Path(sys.argv[1])
    lines = [["method", "calls per copy", "votes/s", *_radii()]]
    lines.append(["---"] * 3 + ["---:"] * len(RADII))
    for name, (method, published) in ROWS.items():
        lines += _lines(folder / name, method)
        if published:
            cells = [f"{percent:.1f}" for percent in published]
            lines.append(["*published, CIFAR-10*", "", "", *cells])
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


def _lines(out: Path, method: str) -> list[list[str]]:
    """Return the envelope of a run, and its cascade if it is one."""
    with (out / "report" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    own = [row for row in rows if row["sigma"] not in JOINED]
    calls = dict.fromkeys(row["purifier_calls"] for row in own)
    rates = [f"{_rate(out, row['sigma']):,.0f}" for row in own]
    joined = {row["sigma"]: row for row in rows if row["sigma"] in JOINED}
    wanted = joined.get("cascade", joined["envelope"])
    cells = [_cell(wanted, radius) for radius in RADII]
    return [[method, " / ".join(calls), " / ".join(rates), *cells]]


def _radii() -> list[str]:
    return [f"r = {float(radius):g}" for radius in RADII]


def _rate(out: Path, sigma: str) -> float:
    """Return votes per second of one actor, from the time each block took."""
    table = pq.read_table(
        out / "votes" / f"sigma_{float(sigma):g}", columns=["stream", "seconds"]
    )
    rows = [row for row in table.to_pylist() if row["stream"] != "clean"]
    return 100 * len(rows) / sum(row["seconds"] for row in rows)


def _cell(row: dict[str, str], radius: str) -> str:
    name = f"certified_r_{radius}"
    if not row.get(f"{name}_percent"):
        return "\N{EN DASH}"
    low, high = (float(row[f"{name}_{end}"]) for end in ("low", "high"))
    return f"{float(row[f'{name}_percent']):.1f} [{low:.0f}, {high:.0f}]"


if __name__ == "__main__":
    main()
