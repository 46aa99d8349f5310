"""How long ``diffsmooth --help`` takes: the median of five runs."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure import Row, markdown

RUNS = 5


def row() -> Row:
    """Measure the command of this environment."""
    command = [str(Path(sys.executable).with_name("diffsmooth")), "--help"]
    seconds, used = [], os.times()
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    now = os.times()
    spent = now.children_user + now.children_system
    spent -= used.children_user + used.children_system
    return Row(
        f"`diffsmooth --help`, median of {RUNS}",
        f"{statistics.median(seconds):.2f} s (core time {spent / RUNS:.2f} s)",
        "< 1 s",
    )


if __name__ == "__main__":
    sys.stdout.write(markdown([row()]))
