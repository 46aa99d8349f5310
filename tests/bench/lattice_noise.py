"""Votes per second under lattice noise beside Gaussian noise, in turns.

Run: ``python tests/bench/lattice_noise.py [--rounds N] [--write]``.
"""

import argparse
import logging
from pathlib import Path
from statistics import median

import torch
from made import file_name, heading

from pipelines.pilot import cast_pilot
from pipelines.recipe import Run, load_recipe
from pipelines.sample import Sample, decoded_sample
from pipelines.weights import resolve
from pipelines.worker import WorkerSettings

logger = logging.getLogger(__name__)

RECIPES = {
    "digits, no purifier": ("digits_gaussian", ()),
    "digits, DiffSmooth, m = 5": ("digits_diffsmooth", ()),
}


def votes_per_second(run: Run, sample: Sample) -> float:
    """Return the votes per second of one process with one thread."""
    settings = WorkerSettings(run.precision, run.batch, False, False, 1)
    return cast_pilot(run, sample, settings).votes_per_second


def ratios(name: str, rounds: int) -> tuple[float, float, float]:
    """Return Gaussian and lattice votes per second, and their median ratio."""
    recipe, settings = RECIPES[name]
    found = {}
    for noise in ("gaussian", "lattice"):
        words = [*settings, f"noise={noise}", "sigma=[0.5]"]
        (run,) = resolve(load_recipe(recipe, words)).runs
        found[noise] = run
    data = found["gaussian"].data
    sample, _ = decoded_sample(data, data.source.entries()[:4], asked_by="bench")
    pairs = [
        [votes_per_second(found[noise], sample) for noise in found]
        for _ in range(rounds)
    ]
    gaussian, lattice = (median(values) for values in zip(*pairs, strict=True))
    return gaussian, lattice, median(b / a for a, b in pairs)


def main() -> None:
    """Measure, and keep the table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["| networks | gaussian, votes/s | lattice, votes/s | ratio |"]
    lines.append("| --- | ---: | ---: | ---: |")
    for name in RECIPES:
        gaussian, lattice, ratio = ratios(name, asked.rounds)
        lines.append(f"| {name} | {gaussian:,.0f} | {lattice:,.0f} | {ratio:.3f} |")
        logger.info("%s", lines[-1])
    if asked.write:
        more = {"medians of": f"{asked.rounds} turns, one thread"}
        path = Path(__file__).parent / file_name("lattice")
        text = "\n".join([*lines, ""])
        path.write_text(f"{heading('# Lattice and Gaussian noise', more)}\n{text}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
