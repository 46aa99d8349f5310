"""Savings of the sequential rule on virtual images like those of two published logs.

Run: ``python tests/bench/replay.py [--write]``, with the two logs of Cohen et al. in
``$DIFFSMOOTH_DATA/cohen_logs``.
"""

import argparse
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from made import file_name, heading
from populations import Population, population
from scipy.special import bdtr, ndtr

from ops.certify.looks import Table
from ops.certify.sequential import Sequential
from ops.certify.simulated import simulated

logger = logging.getLogger(__name__)

ALPHA = 0.001
LOGS = {
    "imagenet_resnet50_noise0.50_sigma0.50.tsv": ("ImageNet, ResNet-50", 0.5, 0.5),
    "cifar10_resnet110_noise0.25_sigma0.25.tsv": ("CIFAR-10, ResNet-110", 0.25, 0.25),
}
SIZES = (1_000, 10_000, 100_000)
PRESETS = ("default", "aggressive", "anytime")
HEADER = (
    "population | N | preset | block | N_max | mean votes | saving | worst difference, "
    "points | fixed, percent | sequential, percent"
)


def fixed_percent(images: Population, radii: np.ndarray, num: int) -> np.ndarray:
    """Return the certified accuracy of the rule ``fixed`` at each radius.

    Args:
        images: that are voted on; the class is taken as guessed rightly.
        radii: l2 distances in [0, 1] pixels.
        num: votes of each.
    """
    failures = np.random.default_rng(1).binomial(num, images.failure_rate)
    rates = ndtr(-radii / images.sigma)
    held = bdtr(failures[:, None], num, rates[None]) <= ALPHA
    return 100 * np.mean(held & images.right[:, None], axis=0)


def sequential_percent(images: Population, table: Table) -> tuple[np.ndarray, float]:
    """Return the certified accuracy at each radius of a table, and the mean votes."""
    rng = np.random.default_rng(2)
    found = simulated(images.failure_rate, table, rng, right=images.right)
    reached = found.num_radii[:, None] > np.arange(len(table.radii))
    percent = 100 * np.mean(reached & images.right[:, None], axis=0)
    return percent, float(found.num_votes.mean())


def rows(logs: Path, sizes: tuple[int, ...] = SIZES) -> Iterator[list[object]]:
    """Yield what each preset makes of each population and N.

    Args:
        logs: folder of the published logs.
        sizes: the N whose tables are matched.
    """
    for file, (name, sigma, step) in LOGS.items():
        images = population(logs / file, name, sigma, step)
        for num in sizes:
            for preset in PRESETS:
                for block in (100, 64):
                    yield row(images, num, preset, block)


def row(images: Population, num: int, preset: str, block: int) -> list[object]:
    """Return one line of the table, as values."""
    rule = Sequential.model_validate({"preset": preset})
    table = rule.table(
        images.sigma,
        num,
        block=block,
        failure_probability=ALPHA,
        step=images.step,
    )
    percent, votes = sequential_percent(images, table)
    fixed = fixed_percent(images, table.radii, num)
    return [
        images.name,
        f"{num:,}",
        preset,
        block,
        f"{table.looks[-1]:,}",
        f"{votes:,.0f}",
        f"{(num + 100) / votes:.1f}",
        f"{(percent - fixed).min():+.2f}",
        " ".join(f"{one:.1f}" for one in fixed),
        " ".join(f"{one:.1f}" for one in percent),
    ]


def main() -> None:
    """Print the table, and keep it if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    logs = Path(os.environ["DIFFSMOOTH_DATA"]) / "cohen_logs"
    lines = [f"| {HEADER} |", "|" + " --- |" * 10]
    lines += [f"| {' | '.join(map(str, line))} |" for line in rows(logs)]
    text = "\n".join([*lines, ""])
    logger.info("%s", text)
    if told.write:
        made = heading("# Votes of the sequential rule, replayed from published logs")
        path = Path(__file__).parent / file_name("replay")
        path.write_text(f"{made}\n{text}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
