"""Units without work in them: how fast they are planned and passed through Ray Data.

Run: ``python tests/bench/scale_units.py [--plan N] [--cast N] [--write]``.
"""

import argparse
import os
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import Row
from scale_process import cost, own_ray, peak_megabytes
from scale_table import keep, load
from synthetic_stages import BLOCK, LIMIT, cast, waves

from infra import cluster
from pipelines import plans, work
from pipelines.allotment import Allotment
from pipelines.attempts import ToObject
from pipelines.unit_tracker import UnitTracker
from pipelines.units import UNITS_PER_WAVE
from pipelines.waves import ExpandWaves

ACTORS, PARTS = 2, 4


def planned(count: int) -> int:
    """Make the waves of so many units as the driver hands them on; returns bytes."""
    return sum(len(pickle.dumps(wave)) for wave in waves(count))


def expanded(count: int) -> int:
    """Expand the waves of so many units, with a tracker that lets all through."""
    tracker = UnitTracker(3, 10**12, is_alive=lambda _: True)
    expand = ExpandWaves(BLOCK, LIMIT, ToObject(tracker))
    listed = [pickle.dumps(wave) for wave in waves(count)]
    batch = {"number": np.arange(len(listed)), "wave": listed}
    return sum(1 for _ in expand(batch))


def passed(count: int, out: str) -> tuple[float, float, int]:
    """Pass so many units through the real plan; returns what it took of the driver.

    Returns:
        Seconds, MB by which the driver's peak grew, and files written.
    """
    listed = waves(count)
    cluster.start(None)
    before, began = peak_megabytes(os.getpid()), time.perf_counter()
    allotment = Allotment(actors=ACTORS, gpus=0.0, cpus=0.0, num_threads=1)
    cast(listed, Path(out), allotment)
    seconds = time.perf_counter() - began
    grown = peak_megabytes(os.getpid()) - before
    cluster.stop()
    return seconds, grown, sum(1 for _ in Path(out).glob("votes/*/*.parquet"))


def passed_in_parts(count: int, at_once: int) -> list[float]:
    """Pass units through executions of so many each, begun anew as in a long run.

    Returns:
        MB by which the driver's peak had grown after each.
    """
    vars(work).update(_UNITS_PER_EXECUTION=at_once, _UNITS_PER_ACTOR=0)
    grown, cast_one, before = [], plans._voted, 0.0

    def noted(*words: Any) -> Any:
        grown.append(peak_megabytes(os.getpid()) - before)
        return cast_one(*words)

    vars(plans).update(_voted=noted)
    cluster.start(None)
    before = peak_megabytes(os.getpid())
    allotment = Allotment(actors=ACTORS, gpus=0.0, cpus=0.0, num_threads=1)
    with tempfile.TemporaryDirectory() as out:
        cast(waves(count), Path(out), allotment)
    grown.append(peak_megabytes(os.getpid()) - before)
    cluster.stop()
    return grown[1:]


def rows(*, num_planned: int, num_cast: int) -> list[Row]:
    """Return what was measured.

    Args:
        num_planned: units that are only planned.
        num_cast: units that pass through Ray Data.
    """
    plan, expand = cost(planned, num_planned), cost(expanded, num_planned)
    assert expand.result == num_planned
    found = [
        Row(
            f"{num_planned:,} units in waves, {plan.result / 1e6:.0f} MB of them",
            f"{plan.seconds:.1f} s, memory + {plan.megabytes:.0f} MB",
        ),
        Row(
            f"{num_planned:,} units expanded from the waves",
            f"{expand.seconds - plan.seconds:.1f} s",
        ),
    ]
    return found + _cast_rows(num_cast)


def _cast_rows(num_cast: int) -> list[Row]:
    found, memory = [], []
    counts = (num_cast // 10, num_cast)
    for count in counts:
        with tempfile.TemporaryDirectory() as out:
            seconds, grown, files = cost(passed, count, out).result
        assert files == count, files
        memory.append(grown)
        found.append(
            Row(
                f"{count:,} units that do nothing through Ray Data, {ACTORS} actors",
                f"{count / seconds:.0f} units/s, {seconds:.0f} s, "
                f"driver + {grown:.0f} MB",
            )
        )
    each = 1000 * (memory[1] - memory[0]) / (counts[1] - counts[0])
    more = Row("driver's memory for 1,000 units more", f"{each:.1f} MB")
    return [*found, more, _parts_row(max(UNITS_PER_WAVE, num_cast // 5))]


def _parts_row(at_once: int) -> Row:
    grown = cost(passed_in_parts, PARTS * at_once, at_once).result
    return Row(
        f"driver's memory after each of {PARTS} executions of {at_once:,} units",
        ", ".join(f"+ {megabytes:.0f} MB" for megabytes in grown),
        "flat",
    )


NOTE = """\
A unit is one image of 20 blocks. Units pass through expansion, a task in place of
decoding, an actor that does nothing, and the real commit. The driver's memory is the
growth of its peak since the cluster was there, the first execution's start included. A
run begins a new execution after 20,000 units; here after fewer, to see what is left.
"""


def main() -> None:
    """Measure, and keep the section if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=int, default=200_000)
    parser.add_argument("--cast", type=int, default=10_000)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    before = load()
    with own_ray():
        found = rows(num_planned=asked.plan, num_cast=asked.cast)
    keep("Units", found, note=NOTE, before=before, write=asked.write)


if __name__ == "__main__":
    main()
