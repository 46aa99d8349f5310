"""Votes that the sequential rule needs on images like those of two published logs."""

from pathlib import Path

import numpy as np
import pytest
from populations import population
from replay import LOGS, fixed_percent, sequential_percent

from ops.certify.sequential import Sequential

FEWEST = {
    ("imagenet_resnet50_noise0.50_sigma0.50.tsv", 10_000): 2553,
    ("imagenet_resnet50_noise0.50_sigma0.50.tsv", 100_000): 6256,
    ("cifar10_resnet110_noise0.25_sigma0.25.tsv", 10_000): 2530,
}
"""Mean votes that an independent simulation of the same rule found, by log and N."""


@pytest.mark.parametrize(("log", "num"), FEWEST)
def test_votes_are_those_of_an_independent_simulation(
    logs: Path, log: str, num: int
) -> None:
    name, sigma, step = LOGS[log]
    images = population(logs / log, name, sigma, step)
    table = Sequential().table(
        sigma, num, block=64, failure_probability=0.001, step=step
    )

    percent, votes = sequential_percent(images, table)

    assert votes == pytest.approx(FEWEST[log, num], rel=0.1)
    worst = np.min(percent - fixed_percent(images, table.radii, num))
    assert worst > -0.2
