"""ADM-256 at 224 pixels with BEiT-L on an accelerator: votes/s, FLOP/s, memory.

Run: ``python tests/bench/gpu.py``; ``--tiny`` runs small networks on a CPU, to see that
the measurement works.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from bare_loop import BareLoop
from fused_plan import fused, noise, worker_of
from measure import Row, alternate, rate, ratio, timed
from shapes import imagenet, run_of
from torch.utils.flop_counter import FlopCounterMode

from ops.purify.unet import build_unet
from pipelines.recipe import Run

SIZE, TINY_SIZE = 224, 32
"""Height and width of the image."""

BATCH = 32
BLOCK = 64
"""Whole batches: with blocks of 100 a batch of 32 is padded in one call of seven."""


def rows(folder: Path, *, precision: str, tiny: bool, rounds: int) -> Iterator[Row]:
    """Measure the fused plan, eager and compiled, against the bare loop.

    Rows come as they are measured, so that a run that is stopped has shown something.

    Args:
        folder: where the image is written.
        precision: of the networks.
        tiny: small networks on the CPU.
        rounds: calls of each that are timed.
    """
    peak = matmul_flops(precision, size=512 if tiny else 8192, use_gpu=not tiny)
    yield Row("matmul, the peak below", f"{peak / 1e12:.1f} TFLOP/s")
    for compiled in (False, True):
        raw = imagenet(folder, size=_size(tiny=tiny), tiny=tiny)
        names = ("block", "num_select", "num_estimate", "num_predict")
        draws = dict.fromkeys(names, BLOCK)
        run = run_of(
            raw,
            precision=precision,
            compile=compiled,
            batch=BATCH,
            sampling=draws,
        )
        yield from _run_rows(run, peak, tiny=tiny, rounds=rounds)


def _run_rows(run: Run, peak: float, *, tiny: bool, rounds: int) -> list[Row]:
    name = f"{run.precision}, {'compiled' if run.compile else 'eager'}"
    num_votes = BLOCK if tiny else 6 * BLOCK
    flops = vote_flops(run, _size(tiny=tiny))
    stage = fused(run, num_votes, use_gpu=not tiny)
    first_call = timed(stage).wall_seconds
    loop = BareLoop(run, worker_of(run, use_gpu=not tiny), _size(tiny=tiny))
    actions: dict[str, Callable[[], object]] = {
        "fused": stage,
        "bare": lambda: loop(num_votes),
        "noise": noise(run, num_votes, use_gpu=not tiny),
    }
    timings = alternate(actions, rounds=rounds)
    votes = rate(num_votes, timings["fused"])
    share = votes / rate(num_votes, timings["noise"])
    return [
        Row(f"fused plan, {name}", f"{votes:.2f} votes/s"),
        Row(
            f"share of peak, {flops / 1e9:.1f} GFLOP per vote, {name}",
            f"{votes * flops / 1e12:.1f} TFLOP/s, {votes * flops / peak:.0%}",
            ">= 50 %",
        ),
        Row(
            f"fused plan / bare loop, {name}",
            ratio(timings["fused"], timings["bare"]),
            ">= 0.95",
        ),
        Row(f"noise, share of the fused plan, {name}", f"{share:.2%}", "<= 3 %"),
        Row(f"first call with compilation, {name}", f"{first_call:.0f} s"),
        Row(f"peak memory with both copies, {name}", _peak_memory(tiny=tiny)),
    ]


def matmul_flops(precision: str, *, size: int, use_gpu: bool) -> float:
    """Return the FLOP/s of a square matrix product of random numbers."""
    device = "cuda" if use_gpu else "cpu"
    left, right = torch.randn(2, size, size, device=device).to(
        getattr(torch, precision)
    )

    def multiply() -> None:
        sums = [(left @ right)[0, 0] for _ in range(20)]
        torch.stack(sums).sum().item()

    timings = alternate({"matmul": multiply}, rounds=5)["matmul"]
    return rate(20 * 2 * size**3, timings)


def vote_flops(run: Run, size: int) -> float:
    """Return the FLOPs of one vote, two per multiplication and addition.

    Networks on the meta device do no work, and count the same.

    Args:
        run: for its networks; the classifier takes the size it was made for.
        size: height and width of the image.
    """
    purifier = run.purifier
    assert purifier.kind == "one_shot_ddpm"
    assert purifier.unet is not None
    with torch.device("meta"):
        unet, classifier = build_unet(purifier.unet), run.classifier.network()
        image, time = torch.empty(1, 3, size, size), torch.empty(())
        own_size: Any = getattr(classifier, "pretrained_cfg", {})["input_size"]
        resized = torch.empty(1, *own_size)
    return _flops(lambda: unet.eval()(image, time)) + run.local.num * _flops(
        lambda: classifier.eval()(resized)
    )


@torch.no_grad()
def _flops(forward: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        forward()
    return float(counter.get_total_flops())


def _size(*, tiny: bool) -> int:
    return TINY_SIZE if tiny else SIZE


def _peak_memory(*, tiny: bool) -> str:
    if tiny:
        return "not measured on a CPU"
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return f"{peak:.1f} GiB"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for row in rows(
            Path(name),
            precision=asked.precision,
            tiny=asked.tiny,
            rounds=asked.rounds,
        ):
            sys.stdout.write(f"{row.what}: {row.value} {row.wanted}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
