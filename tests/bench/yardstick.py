"""The CIFAR-10 yardstick: votes per second of the DiffSmooth shape, by precision.

The shape is improved-diffusion's CIFAR-10 U-Net (52.5 M parameters) with ResNet-110,
m = 5, batch 50. Run: ``python tests/bench/yardstick.py [--compile] [--changed]``.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from bare_loop import BareLoop
from fused_plan import VOTES, fused, unit_of, worker_of
from measure import Row, alternate, markdown, rates, ratio
from shapes import cifar, run_of

from pipelines.calls import calls
from pipelines.recipe import Run
from pipelines.stages import ops_of, run_op

PRECISIONS = ("float32", "bfloat16")
PUBLIC = {
    "votes": "13.3",
    "unet": "15.8 (33.7 under bfloat16 autocast)",
    "classifier": "544",
}
"""The public DiffSmooth loop in float32 on 2 cores of a machine with AVX-512-BF16."""


def votes_rows(folder: Path, *, compiled: bool, rounds: int) -> list[Row]:
    """Measure votes per second of the fused plan in both precisions."""
    runs = _runs(folder, compiled=compiled)
    stages = {name: fused(run, VOTES) for name, run in runs.items()}
    timings = alternate(stages, rounds=rounds)
    mode = ", compiled" if compiled else ""
    wanted = {"float32": f">= {PUBLIC['votes']} (public loop)", "bfloat16": ""}
    listed = [
        Row(
            f"votes, {name}{mode}",
            rates(VOTES, timings[name], "votes/s"),
            wanted[name],
        )
        for name in PRECISIONS
    ]
    gain = ratio(timings["bfloat16"], timings["float32"])
    return [*listed, Row(f"bfloat16 / float32{mode}", gain, ">= 1.8")]


def network_rows(folder: Path, *, rounds: int) -> list[Row]:
    """Measure U-Net and classifier alone, in both precisions and memory layouts."""
    found = []
    for part in ("unet", "classifier"):
        actions = {}
        for name, run in _runs(folder, compiled=False).items():
            actions[f"{name}, channels last"] = _alone(run, part, torch.channels_last)
            actions[f"{name}, contiguous"] = _alone(run, part, torch.contiguous_format)
        timings = alternate(actions, rounds=rounds)
        batch = _runs(folder, compiled=False)["float32"].batch
        found += [
            Row(
                f"{part} alone, {name}",
                rates(batch, timings[name], "images/s"),
                f"public: {PUBLIC[part]}" if name == "float32, contiguous" else "",
            )
            for name in actions
        ]
    return found


def changed_row(folder: Path, *, num_votes: int = 200) -> Row:
    """Count the votes that differ between float32 and bfloat16, copy by copy."""
    votes = [_votes(run, num_votes) for run in _runs(folder, compiled=False).values()]
    changed = int((votes[0] != votes[1]).sum())
    largest = int(votes[0].bincount().max())
    return Row(
        f"votes that change between float32 and bfloat16, of {num_votes} "
        f"(random weights, largest class {largest})",
        f"{changed / num_votes:.1%}",
    )


def _runs(folder: Path, *, compiled: bool) -> dict[str, Run]:
    raw = cifar(folder)
    return {name: run_of(raw, precision=name, compile=compiled) for name in PRECISIONS}


def _alone(run: Run, part: str, layout: torch.memory_format) -> Callable[[], object]:
    loop = BareLoop(run, worker_of(run), 32, layout)
    return loop.alone(part)


def _votes(run: Run, num_votes: int) -> torch.Tensor:
    worker = worker_of(run)
    functions = [op.open(worker) for op in ops_of(run)[:3]]
    votes = []
    for columns in calls(unit_of(run, num_votes), run):
        for function in functions:
            columns = run_op(function, columns)
        votes.append(columns["vote"].flatten())
    return torch.cat(votes)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--networks", action="store_true")
    parser.add_argument("--changed", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.networks:
            found = network_rows(folder, rounds=asked.rounds)
        elif asked.changed:
            found = [changed_row(folder)]
        else:
            found = votes_rows(folder, compiled=asked.compile, rounds=asked.rounds)
    sys.stdout.write(markdown(found))


if __name__ == "__main__":
    main()
