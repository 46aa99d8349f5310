"""Logs that Cohen, Rosenfeld and Kolter 2019 published, through import and report."""

from pathlib import Path

import numpy as np
import pytest

from ops.score.certified_accuracy import num_certified
from pipelines.curve import table_radii
from pipelines.import_log import import_log
from pipelines.rebuild import rebuild

PUBLISHED = {
    "cifar10_resnet110_noise0.25_sigma0.25.tsv": (
        ["sigma=0.25", "dataset=cifar10"],
        {0.25: "0.60", 0.5: "0.43", 0.75: "0.27"},
    ),
    "imagenet_resnet50_noise0.50_sigma0.50.tsv": (
        ["sigma=0.5", "dataset=imagenet"],
        {0.5: "0.46", 1.0: "0.37", 1.5: "0.29"},
    ),
}
"""What is told, and the authors' table: locuslab/smoothing, analysis/markdown."""

PERCENT = {
    "cifar10_resnet110_noise0.25_sigma0.25.tsv": [74.8, 60.0, 42.8, 26.6],
    "imagenet_resnet50_noise0.50_sigma0.50.tsv": [57.2, 45.8, 37.2, 28.6],
}
"""At every radius within reach, from 0."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_logs_of_cohen_2019_give_the_table_of_their_authors(
    logs: Path, tmp_path: Path, name: str
) -> None:
    told, published = PUBLISHED[name]
    out = str(tmp_path / "out")

    import_log(str(logs / name), [*told, "num_estimate=100000"], out)
    (curve,), _ = rebuild([out], [], None)

    radii = np.array(table_radii([curve])[:-1])
    shares = num_certified(curve.correct, curve.radius, radii) / curve.num_images
    label, guessed, radius = np.loadtxt(
        logs / name, skiprows=1, usecols=(1, 2, 3), unpack=True
    )
    by_hand = [np.mean((label == guessed) & (radius >= r)) for r in radii]
    assert curve.failure_probability == 0.01
    assert shares.tolist() == pytest.approx(by_hand)
    assert (100 * shares).tolist() == pytest.approx(PERCENT[name])
    rounded = dict(zip(radii.tolist(), (f"{s:.2f}" for s in shares), strict=True))
    assert rounded.items() >= published.items()
    table = (tmp_path / "out" / "report" / "table.md").read_text()
    assert all(f"| {percent:.1f} [" in table for percent in PERCENT[name])
