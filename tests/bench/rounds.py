"""How busy actors are whose images stop by themselves, and what is voted for nothing.

Run: ``python tests/bench/rounds.py [--gpus N] [--images N] [--write]``. The GPUs are
logical: actors wait for as long as votes take. Planner, gate, tracker, ledger and
commits are the real ones. One hand stands for plain rounds, with a wait between them.
"""

import argparse
import pickle
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from busy import Calls, local_cluster, traces
from measure import Row
from scale_process import own_ray
from scale_table import keep, load
from synthetic_actor import BLOCK, SIGMA
from synthetic_rounds import LABEL, DrawVotes, WaitPerVote, key_of
from synthetic_stages import METADATA, described, stand_ins

from infra.object_store import open_store
from infra.sources.entry import Entry
from ops.certify.sequential import Sequential
from pipelines import rounds
from pipelines.allotment import Allotment
from pipelines.certify_sequential import sequential_columns
from pipelines.plans import cast_votes, tracker
from pipelines.reading import Reading
from pipelines.target import VoteTarget
from pipelines.vote_rows import read_all_votes
from pipelines.work import Planning, Work

N, VOTES_PER_SECOND, UNIT_VOTES = 3_000, 400, 4_000
ALPHA, RADII = 0.001, (0.25, 0.5)


def run_of_rounds(**more: Any) -> Any:
    """Return as much of a run as the planner of rounds reads.

    Args:
        more: fields, in place of the usual ones or beside them.
    """
    fields = {
        "rule": SimpleNamespace(kind="sequential"),
        "classifier": SimpleNamespace(num_classes=10),
        "seconds_per_vote": 1 / VOTES_PER_SECOND,
    }
    return described(**(fields | more))


def reading() -> Reading:
    """Return the rule that images are looked at by."""
    table = Sequential(radii=RADII).table(
        SIGMA, N, block=BLOCK, failure_probability=ALPHA, step=0.25
    )
    return Reading(run_of_rounds(), ALPHA, table)


def images(count: int) -> list[Entry]:
    """Return images from hopeless to sure, as a data set has them."""
    quantiles = np.random.default_rng(0).normal(1.6, 1.4, count)
    listed = enumerate(quantiles.tolist())
    return [Entry(key_of(n, z), LABEL, n, f"{n:064x}") for n, z in listed]


def cast(entries: list[Entry], out: Path, gpus: int, trace: Path, hands: int) -> float:
    """Vote on images until all have stopped; return the seconds it took."""
    run, rule = run_of_rounds(trace=str(trace)), reading()
    stages = {"fused": Allotment(actors=gpus, gpus=1.0, cpus=0.0, num_threads=None)}
    limit = min(UNIT_VOTES, max(BLOCK, len(entries) * BLOCK // hands // gpus))
    asked = rounds.Rounds(
        entries=tuple(entries),
        has_clean=np.ones(len(entries), bool),
        groups=(),
        reading=rule,
        out=str(out),
        num_actors=gpus,
        unit_votes=UNIT_VOTES,
        most_units=10**9,
        hands=hands,
    )
    with (
        stand_ins(DrawVotes, WaitPerVote),
        tracker(run, limit=limit, num_actors=gpus) as tell,
    ):
        work = Work(
            run, limit, str(out), VoteTarget(METADATA), tell, "waiting", run.plan
        )
        rows = [{"rounds": pickle.dumps(asked)}]
        began = time.time()
        expand = rounds.ExpandRounds(tell)
        cast_votes(work, [Planning(rows, expand)], stages)
        return time.time() - began


def votes_read(entries: list[Entry], out: Path) -> tuple[int, int]:
    """Return the votes that certificates rest on, and those that were cast."""
    votes = read_all_votes(open_store(out), SIGMA).rows
    labels = {entry.key: entry.label for entry in entries}
    columns, stopped, _ = sequential_columns(votes, labels, reading())
    assert stopped.all()
    return int(columns["num_draws"].sum()), BLOCK * len(votes)


def shares(calls: list[Calls], gpus: int) -> tuple[float, float, float]:
    """Return how busy actors were in all, the last idle time, and the longest unit.

    The last idle time is that of the actor who ended first, before the end of all.
    """
    start = max(own[0][0] for own in calls)
    end = max(own[-1][1] for own in calls)
    spent = sum(
        max(0.0, till - max(since, start)) for own in calls for since, till in own
    )
    idle = end - min(own[-1][1] for own in calls)
    longest = max(till - since for own in calls for since, till in own)
    return spent / (gpus * (end - start)), idle, longest


def measured(hands: int, entries: list[Entry], gpus: int) -> Iterator[Row]:
    """Yield what was measured with so many hands."""
    with tempfile.TemporaryDirectory() as name:
        out, trace = Path(name) / "out", Path(name) / "trace"
        trace.mkdir()
        seconds = cast(entries, out, gpus, trace, hands)
        read, cast_in_all = votes_read(entries, out)
        busy, idle, longest = shares(traces(trace), gpus)
    name = f"{hands} hands" if hands > 1 else "plain rounds"
    yield Row(f"{name}: mean votes read", f"{read / len(entries):,.0f}")
    beyond = cast_in_all / read - 1
    yield Row(f"{name}: **votes past the stop**", f"{beyond:.1%}", "< 5 %")
    yield Row(f"{name}: **share of actors' time busy**, to the end", f"{busy:.1%}")
    yield Row(
        f"{name}: **idle at the end**",
        f"{idle:.1f} s; the longest unit took {longest:.1f} s",
        "<= one unit",
    )
    ideal = cast_in_all / VOTES_PER_SECOND / gpus
    yield Row(f"{name}: in all", f"{seconds:.0f} s; its votes take {ideal:.0f} s")


NOTE = f"""\
Actors wait 1/{VOTES_PER_SECOND} s for each vote; N = {N:,}, preset default, radii
{", ".join(f"{r:g}" for r in RADII)} at sigma {SIGMA:g}, quantiles of the images normal
around 1.6 +- 1.4. Busy counts from when every actor has begun.
"""


def main() -> None:
    """Measure, and keep the section if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=16)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    before, entries, found = load(), images(asked.images), []
    with own_ray(), local_cluster(asked.gpus):
        for hands in (1, 3):
            found += measured(hands, entries, asked.gpus)
    keep("Images that stop", found, note=NOTE, before=before, write=asked.write)


if __name__ == "__main__":
    main()
