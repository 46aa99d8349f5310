"""What a grid costs in one pass: network calls and time, against cells run alone.

Run: ``python tests/bench/one_pass.py [--images N] [--write]``. All parts run in this
process as an actor runs them: noise, purifier, classifier, counting. Networks are
trained on first use, and loaded before anything is timed.
"""

import argparse
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from fused_plan import aside_of, settings_of
from made import file_name, heading
from measure import count_forwards

from infra import cluster
from ops.vote.streams import num_copies
from pipelines.decode import Decoded, DecodeUnits
from pipelines.families import TraceTarget
from pipelines.reading import Reading
from pipelines.stages import FusedStage
from pipelines.trace_plan import families_of
from pipelines.trace_stage import TraceStage
from pipelines.units import Job, Unit
from tune.chooser import known_choices
from tune.prepare import StudyJob, prepare_study
from tune.search import Search

logger = logging.getLogger(__name__)

RECIPE = "budget_matched_digits"
PURIFIER, CLASSIFIER = "UNet2DModel", "Sequential"


@dataclass(frozen=True)
class Spent:
    """What casting the votes of some images took."""

    seconds: float
    purified: int
    """Copies that went through the purifier, with padding."""

    classified: int
    """Copies that went through the classifier, with padding."""


def spent_on(
    stage_of: Callable[[Any], FusedStage],
    aside: Any,
    decoded: Sequence[Decoded],
) -> Spent:
    """Cast the votes of decoded units; networks are loaded before the clock starts."""
    stage = stage_of(aside)
    began = time.perf_counter()
    counted: Counter[str] = count_forwards(
        lambda: [stage.votes(unit) for unit in decoded], (PURIFIER, CLASSIFIER)
    )
    seconds = time.perf_counter() - began
    return Spent(seconds, counted[PURIFIER], counted[CLASSIFIER])


def units_of(job: StudyJob, reading: Reading, blocks: dict[str, int]) -> list[Decoded]:
    """Return each image with all its blocks, decoded."""
    run = reading.run
    decode = DecodeUnits(run.data.source, run.data.preprocess, aside_of(run))
    jobs = [
        tuple(Job(entry, s, tuple(range(num))) for s, num in blocks.items() if num)
        for entry in job.job.entries
    ]
    return [decode.decoded(Unit(one)) for one in jobs]


def alone(job: StudyJob, reading: Reading) -> Spent:
    """Cast the votes of one cell as a run of its own does."""
    run, settings = reading.run, settings_of(reading.run)
    return spent_on(
        lambda aside: FusedStage(run, settings, aside),
        aside_of(run),
        units_of(job, reading, dict(reading.blocks)),
    )


def together(job: StudyJob, readings: Sequence[Reading]) -> tuple[Spent, int, int]:
    """Cast the votes of all cells in one pass; return also the unavoidable calls."""
    run, settings = readings[0].run, settings_of(readings[0].run)
    families = tuple(families_of(readings, RECIPE))
    streams = {s for one in families for s in one.blocks}
    blocks = {s: max(one.blocks.get(s, (0, 0))[1] for one in families) for s in streams}
    size, images = run.sampling.block, len(job.job.entries)
    purified = sum(n * num_copies(s, size) for s, n in blocks.items())
    classified = sum(
        one.num * (end - first) * num_copies(s, size)
        for one in families
        for s, (first, end) in one.blocks.items()
    )
    aside = replace(aside_of(run), target=TraceTarget(families))
    spent = spent_on(
        lambda one: TraceStage(run, settings, one),
        aside,
        units_of(job, readings[0], blocks),
    )
    return spent, images * purified, images * classified


def line_of(job: StudyJob, sigma: float, readings: Sequence[Reading]) -> list[str]:
    """Return what the cells of one sigma take, together and alone."""
    one_pass, purified, classified = together(job, readings)
    cells = [alone(job, reading) for reading in readings]
    dearest = max(cells, key=lambda one: one.seconds)
    each = sum(one.seconds for one in cells)
    logger.info("sigma %g: %s; dearest %s; all %.0f s", sigma, one_pass, dearest, each)
    return [
        f"{sigma:g}",
        str(len(cells)),
        f"{one_pass.purified:,} ({one_pass.purified / purified:.3f})",
        f"{one_pass.classified:,} ({one_pass.classified / classified:.3f})",
        f"{sum(one.purified for one in cells):,}",
        f"{sum(one.classified for one in cells):,}",
        f"{one_pass.seconds:.1f}",
        f"{dearest.seconds:.1f} ({one_pass.seconds / dearest.seconds:.2f})",
        f"{each:.1f} ({each / one_pass.seconds:.1f})",
    ]


HEADER = [
    "sigma",
    "cells",
    "purifier calls (of the unavoidable)",
    "classifier calls (of the unavoidable)",
    "purifier calls of cells alone",
    "classifier calls of cells alone",
    "one pass, s",
    "dearest cell, s (pass / cell)",
    "all cells alone, s (cells / pass)",
]


def main() -> None:
    """Measure, and keep the table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        job = prepare_study(RECIPE, [f"data.subset=first:{asked.images}"], out)
    cluster.stop()  # networks are trained; the rest is of one process
    search = Search(job)
    found = [search.candidate(one).reading for one in known_choices(job.chosen) or ()]
    readings = sorted((one for one in found if one), key=lambda one: one.run.sigma)
    grouped = groupby(readings, lambda one: one.run.sigma)
    lines = [line_of(job, sigma, list(own)) for sigma, own in grouped]
    table = "\n".join(
        f"| {' | '.join(line)} |" for line in [HEADER, ["---:"] * len(HEADER), *lines]
    )
    logger.info("%s", table)
    if asked.write:
        made = heading(f"# One pass of {RECIPE}", {"images": str(asked.images)})
        path = Path(__file__).parent / file_name("one_pass")
        path.write_text(f"{made}\n{table}\n")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
