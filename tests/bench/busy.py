"""How much of their time many actors are busy, and how long the last of them take.

Run: ``python tests/bench/busy.py [--gpus N] [--units N] [--seconds S] [--write]``. The
GPUs are logical: actors wait for as long as a unit takes, so that a small machine has
room for a cluster's worth of them.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from measure import Row
from scale_process import own_ray
from scale_table import keep, load
from synthetic_stages import cast, waves

from pipelines.allotment import Allotment

NODES, NODE_CPUS = 4, 2
STORE_BYTES = 200 * 2**20
KEPT_MS = "300000"
"""For which Ray keeps idle workers."""

SPREAD = 0.3

Calls = Sequence[tuple[float, float]]
"""Begin and end of an actor's calls, in order."""


@dataclass(frozen=True)
class Busy:
    """What actors did with their time."""

    share: float
    """Of the actors' time between the first call of the last actor to begin and the end
    of the last call of the first actor to find no more."""

    steady_seconds: float
    """Between these two."""

    tail_seconds: float
    """From the second to the end of all."""

    gaps: tuple[float, ...]
    """Seconds between an actor's calls, in steady state, sorted."""

    actors: int
    units: int


def busy(traces: Sequence[Calls]) -> Busy:
    """Return how busy actors were.

    Args:
        traces: of each actor that had a unit.
    """
    start = max(calls[0][0] for calls in traces)
    stop = min(calls[-1][1] for calls in traces)
    spent = sum(
        max(0.0, min(end, stop) - max(begin, start))
        for calls in traces
        for begin, end in calls
    )
    gaps = [
        later[0] - earlier[1]
        for calls in traces
        for earlier, later in pairwise(calls)
        if start <= earlier[1] <= stop
    ]
    return Busy(
        share=spent / (len(traces) * (stop - start)),
        steady_seconds=stop - start,
        tail_seconds=max(calls[-1][1] for calls in traces) - stop,
        gaps=tuple(sorted(gaps)),
        actors=len(traces),
        units=sum(map(len, traces)),
    )


@contextmanager
def local_cluster(gpus: int) -> Iterator[None]:
    """Run nodes with logical GPUs in processes of this machine, and connect to them."""
    import ray
    from ray.cluster_utils import Cluster

    from infra import cluster

    node = {
        "num_cpus": NODE_CPUS,
        "num_gpus": gpus // NODES,
        "object_store_memory": STORE_BYTES,
    }
    # As in a cluster that a run starts for itself.
    os.environ.update(RAY_idle_worker_killing_time_threshold_ms=KEPT_MS)
    nodes = Cluster(initialize_head=True, head_node_args=node)
    try:
        for _ in range(NODES - 1):
            nodes.add_node(**node)
        cluster.start(nodes.address)
        yield
    finally:
        ray.shutdown()
        nodes.shutdown()


def traces(folder: Path) -> list[Calls]:
    """Return the calls of each actor, as they wrote them."""
    found = []
    for file in folder.iterdir():
        lines = (line.split() for line in file.read_text().splitlines())
        found.append(sorted((float(begin), float(end)) for begin, end in lines))
    return found


def rows(*, gpus: int, units: int, seconds: float) -> Iterator[Row]:
    """Yield what was measured.

    Args:
        gpus: logical ones, an actor each.
        units: for each actor.
        seconds: a unit takes on average.
    """
    allotment = Allotment(actors=gpus, gpus=1.0, cpus=0.0, num_threads=None)
    run = {"seconds": seconds, "spread": SPREAD}
    with tempfile.TemporaryDirectory() as name, own_ray(), local_cluster(gpus):
        out, trace = Path(name) / "out", Path(name) / "trace"
        trace.mkdir()
        began = time.time()
        cast(waves(units * gpus), out, allotment, **run, trace=str(trace))
        ended = time.time()
        found = traces(trace)
        files = sum(1 for _ in out.glob("votes/*/*.parquet"))
    assert files == units * gpus, files
    result = busy(found)
    first, last = (pick(calls[0][0] for calls in found) - began for pick in (min, max))
    median, late = (result.gaps[int(len(result.gaps) * at)] for at in (0.5, 0.95))
    yield Row("actors that had a unit", f"{result.actors} of {gpus}", f"{gpus}")
    yield Row(
        "first and last actor's first unit after the start",
        f"{first:.0f} s and {last:.0f} s",
    )
    yield Row("steady state", f"{result.steady_seconds:.0f} s")
    yield Row("**share of actors' time busy**", f"{result.share:.1%}", ">= 95 %")
    yield Row(
        "pause between two units of an actor",
        f"median {1000 * median:.0f} ms, 95th percentile {1000 * late:.0f} ms",
    )
    yield Row(
        "**tail**",
        f"{result.tail_seconds:.1f} s, {result.tail_seconds / seconds:.2f} units",
        "< 2 units",
    )
    yield Row(f"{result.units} units in all", f"{ended - began:.0f} s")


NOTE = f"""\
{NODES} Ray nodes on this machine with {NODE_CPUS} logical cores each. A unit waits as
long as its name says, evenly spread over +- {SPREAD:.0%} of the mean; expansion, gate,
tracker, a task in place of decoding, and commits are the real ones. Steady state begins
when every actor has begun its first unit and ends when the first finds no more.
"""


def main() -> None:
    """Measure, and keep the section if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--units", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    before = load()
    found = list(rows(gpus=asked.gpus, units=asked.units, seconds=asked.seconds))
    keep("Busy actors", found, note=NOTE, before=before, write=asked.write)


if __name__ == "__main__":
    main()
