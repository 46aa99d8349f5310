"""The fused plan's actor body against the bare loop, in one process, in turn.

Run: ``python tests/bench/fused_plan.py [--precision bfloat16] [--compile] [--ray]``.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from bare_loop import BareLoop
from measure import (
    THREADS,
    Row,
    alternate,
    count_forwards,
    markdown,
    rate,
    rates,
    ratio,
    timed,
)
from shapes import cifar, run_of

from infra.meters import Meters
from ops.columns import Worker
from ops.vote.add_noise import AddNoise
from pipelines.attempts import Attempts, ToObject
from pipelines.calls import calls
from pipelines.certify import certify
from pipelines.decode import Decoded, DecodeUnits
from pipelines.recipe import Run
from pipelines.set_aside import SetAside
from pipelines.stages import FusedStage
from pipelines.target import VoteTarget
from pipelines.unit_tracker import UnitTracker
from pipelines.units import Job, Unit
from pipelines.worker import WorkerSettings

VOTES = 100
"""Votes per call: more than 2 s of arithmetic."""

NETWORKS = ("UNet2DModel", "ResNet")


def settings_of(run: Run, *, use_gpu: bool = False) -> WorkerSettings:
    """Return what an actor of this run is told on this machine."""
    threads = None if use_gpu else THREADS
    return WorkerSettings(run.precision, run.batch, run.compile, use_gpu, threads)


def worker_of(run: Run, *, use_gpu: bool = False) -> Worker:
    """Return the worker of this run, with this process set up for it."""
    return settings_of(run, use_gpu=use_gpu).open()


def aside_of(run: Run) -> SetAside:
    """Return what a stage outside a cluster sets images aside with; none will be."""
    attempts = Attempts(
        ToObject(UnitTracker(1, 1)), Meters("bench", "fused", run.sigma)
    )
    return SetAside(
        sigma=run.sigma,
        block=run.sampling.block,
        out="",
        target=VoteTarget({}),
        attempts=attempts,
    )


def unit_of(run: Run, num_votes: int) -> Decoded:
    """Return a decoded unit of the run's first image, as an actor receives it."""
    (entry, *_) = run.data.source.entries()
    blocks = tuple(range(num_votes // run.sampling.block))
    decode = DecodeUnits(run.data.source, run.data.preprocess, aside_of(run))
    return decode.decoded(Unit((Job(entry, "estimate", blocks),)))


def fused(run: Run, num_votes: int, *, use_gpu: bool = False) -> Callable[[], object]:
    """Return a call of the fused plan's actor that casts so many votes."""
    stage = FusedStage(run, settings_of(run, use_gpu=use_gpu), aside_of(run))
    unit = unit_of(run, num_votes)
    return lambda: stage.votes(unit)


def noise(run: Run, num_votes: int, *, use_gpu: bool = False) -> Callable[[], object]:
    """Return a call that makes the noisy copies of so many votes and no more."""
    worker = worker_of(run, use_gpu=use_gpu)
    op = AddNoise(sigma=run.sigma, seed=run.seed, block=run.sampling.block)
    add_noise = op.open(worker)
    unit = unit_of(run, num_votes)

    def make() -> None:
        for columns in calls(unit, run):
            torch.sum(add_noise(columns)["noisy"]).item()

    return make


def rows(folder: Path, *, precision: str, compiled: bool, rounds: int) -> list[Row]:
    """Measure the actor body against the bare loop.

    Args:
        folder: for the image and weights.
        precision: of the networks.
        compiled: whether both go through torch.compile.
        rounds: calls of each that are timed.

    Raises:
        ValueError: the two did not run the same forwards.
    """
    run = run_of(cifar(folder), precision=precision, compile=compiled)
    stage, loop = fused(run, VOTES), BareLoop(run, worker_of(run), 32)
    actions = {"fused": stage, "bare": lambda: loop(VOTES), "noise": noise(run, VOTES)}
    if not compiled:
        _require_same_forwards(actions["fused"], actions["bare"])
    timings = alternate(actions, rounds=rounds, warm=not compiled)
    share = rate(VOTES, timings["fused"]) / rate(VOTES, timings["noise"])
    name = f"{precision}{', compiled' if compiled else ''}"
    return [
        Row(f"fused plan, {name}", rates(VOTES, timings["fused"], "votes/s")),
        Row(f"bare loop, {name}", rates(VOTES, timings["bare"], "votes/s")),
        Row(
            f"fused plan / bare loop, {name}",
            ratio(timings["fused"], timings["bare"]),
            ">= 0.95",
        ),
        Row(f"noise, share of the fused plan, {name}", f"{share:.2%}", "<= 3 %"),
    ]


def through_ray_row(folder: Path, *, precision: str) -> Row:
    """Measure a whole ``certify`` of one image with one actor against the bare loop."""
    raw: dict[str, Any] = {
        **cifar(folder),
        "precision": precision,
        "sampling": {"num_select": 100, "num_estimate": 300},
        "stages": {"fused": {"actors": 1, "cpus": 1}},
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
    }
    recipe = folder / "bench.yaml"
    recipe.write_text(yaml.safe_dump(raw))
    run = run_of(raw)
    loop = BareLoop(run, worker_of(run), 32)
    loop(run.batch)
    bare = timed(lambda: loop(VOTES))
    ray_run = timed(lambda: certify(str(recipe), [], str(folder / "out")))
    alone = 4 * bare.wall_seconds
    return Row(
        f"`certify` of one image (400 votes, 1 actor x {THREADS} threads), {precision}",
        f"{ray_run.wall_seconds:.1f} s, of which the bare loop needs {alone:.1f} s",
    )


def _require_same_forwards(
    fused_call: Callable[[], object], bare_call: Callable[[], object]
) -> None:
    here, there = (count_forwards(call, NETWORKS) for call in (fused_call, bare_call))
    if here != there:
        raise ValueError(
            f"A comparison needs the same forwards on both sides; the fused plan ran "
            f"{dict(here)} and the bare loop {dict(there)}. Lower LOGIT_STD."
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.ray:
            found = [through_ray_row(folder, precision=asked.precision)]
        else:
            found = rows(
                folder,
                precision=asked.precision,
                compiled=asked.compile,
                rounds=asked.rounds,
            )
    sys.stdout.write(markdown(found))


if __name__ == "__main__":
    main()
