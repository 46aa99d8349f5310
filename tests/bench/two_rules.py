"""The same digits under both rules: two tables, their votes and their wall time.

Run: ``python tests/bench/two_rules.py [--images N] [--write]``. Networks are trained on
first use, before anything is timed.
"""

import argparse
import csv
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from made import file_name, heading

from infra.object_store import open_store
from pipelines.ledger_index import LedgerIndex
from pipelines.rebuild import stored_indexes, stored_recipe

logger = logging.getLogger(__name__)

DIFFSMOOTH = Path(sys.executable).with_name("diffsmooth")
RECIPE, BLOCK = "digits_diffsmooth", 100
RULES = {
    "fixed": (),
    "sequential": ("rule.kind=sequential",),
    "sequential, radii to 2.5 sigma": ("rule.kind=sequential", "rule.near_cap=false"),
}


def certify(out: Path, images: int, settings: tuple[str, ...]) -> float:
    """Certify the digits into a folder; return the seconds it took."""
    words = [str(DIFFSMOOTH), "certify", RECIPE, "--out", str(out)]
    for setting in (f"data.subset=first:{images}", *settings):
        words += ["--set", setting]
    began = time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def num_votes(index: LedgerIndex) -> int:
    """Return the noisy copies that were voted on."""
    return BLOCK * sum(n for s, n in index.num_blocks().items() if s != "clean")


def lines_of(out: Path, rule: str) -> Iterator[list[str]]:
    """Yield a line for each sigma: votes, and certified accuracy at each radius."""
    indexes = stored_indexes(open_store(out))
    runs = stored_recipe(open_store(out), indexes, []).runs
    with (out / "report" / "table.csv").open() as file:
        rows = {row["sigma"]: row for row in csv.DictReader(file)}
    for run, index in zip(runs, indexes.values(), strict=True):
        row = rows[str(run.sigma)]
        votes = num_votes(index)
        images = int(row["num_images"])
        cells = [
            f"{name.removeprefix('certified_r_').removesuffix('_percent')}: "
            f"{float(value):.0f}"
            for name, value in row.items()
            if name.endswith("_percent") and value
        ]
        read = float(row["mean_votes"])
        yield [
            f"{run.sigma:g}",
            rule,
            f"{votes:,}",
            f"{votes / images:,.0f}",
            f"{read:,.0f}",
            ", ".join(cells),
        ]


def main() -> None:
    """Measure, and keep the table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    found, times = [], []
    with tempfile.TemporaryDirectory() as name:
        few = ("sampling.num_estimate=1000",)
        certify(Path(name) / "trained", 2, few)
        for number, (rule, settings) in enumerate(RULES.items()):
            out = Path(name) / f"out_{number}"
            seconds = certify(out, asked.images, settings)
            found += lines_of(out, rule)
            times.append(f"* {rule}: {seconds:.0f} s from start to end\n")
            logger.info("%s", times[-1])
    header = ["sigma", "rule", "votes cast", "of an image", "read", "percent at radius"]
    found.sort(key=lambda line: float(line[0]))
    table = "\n".join(
        f"| {' | '.join(line)} |" for line in [header, ["---"] * 6, *found]
    )
    logger.info("%s", table)
    if asked.write:
        more = {"recipe": f"{RECIPE}, first:{asked.images}, N = 10,000"}
        made = heading("# The same digits under both rules", more)
        path = Path(__file__).parent / file_name("two_rules")
        path.write_text(f"{made}\n{''.join(times)}\n{table}\n")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
