"""Every measurement as one Markdown table with the machine it was made on.

Run: ``make bench``, or ``python tests/bench/table.py [--write]``; with ``--write`` the
table is kept beside this file, named for the hardware and the month.
"""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import fused_plan
import gpu
import help_time
import torch
import yardstick
from made import file_name, heading
from measure import THREADS, Row, markdown

logger = logging.getLogger(__name__)

Part = Callable[[], Iterable[Row]]
SUBJECT = "certify"


def parts(folder: Path, *, rounds: int, compiled: bool) -> dict[str, Part]:
    """Return what is measured, by name, in order.

    Args:
        folder: for images, weights and the run through Ray.
        rounds: calls of each action that are timed.
        compiled: whether to measure with torch.compile too; it takes minutes.
    """
    on_cpu: dict[str, Part] = {
        "yardstick": partial(
            yardstick.votes_rows, folder, compiled=False, rounds=rounds
        ),
        "networks": partial(yardstick.network_rows, folder, rounds=rounds),
        "changed": lambda: [yardstick.changed_row(folder)],
        "help": lambda: [help_time.row()],
    }
    for precision in yardstick.PRECISIONS:
        on_cpu[f"plan, {precision}"] = partial(
            fused_plan.rows, folder, precision=precision, compiled=False, rounds=rounds
        )
    if compiled:
        on_cpu["yardstick, compiled"] = partial(
            yardstick.votes_rows, folder, compiled=True, rounds=rounds
        )
    on_cpu["through Ray"] = lambda: [
        fused_plan.through_ray_row(folder, precision="float32")
    ]
    if torch.cuda.is_available():
        on_cpu["accelerator"] = partial(
            gpu.rows, folder, precision="bfloat16", tiny=False, rounds=rounds
        )
    return on_cpu


def table(rows: Sequence[Row], *, load: float) -> str:
    """Return the table under a heading that says how it was made."""
    more = {
        "load before": f"{load:.1f}",
        "torch, threads": f"{torch.__version__}, {THREADS}",
        "CPU capability": torch.backends.cpu.get_cpu_capability(),
    }
    return f"{heading('# Speed of certify', more)}\n{markdown(rows)}\n{NOTE}"


NOTE = """\
Medians. "By core time" divides by the processor time of all threads, times their
number, instead of the wall clock: what the clock would say if no other process ran.
Weights are random: votes lie closer to the boundary than those of trained networks.
"""


def main() -> None:
    """Measure everything, print the table, and keep it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    rows: list[Row] = []
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        listed = parts(Path(name), rounds=asked.rounds, compiled=asked.compile)
        for part, measure in listed.items():
            logger.info("measuring: %s", part)
            rows += measure()
    text = table(rows, load=before)
    sys.stdout.write(text)
    if asked.write:
        Path(__file__).with_name(file_name(SUBJECT)).write_text(text)


if __name__ == "__main__":
    main()
