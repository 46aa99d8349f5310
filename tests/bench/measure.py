"""What every measurement shares: a clock, a row of the table, the table."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn.modules.module import register_module_forward_hook

THREADS = 2
"""Threads of PyTorch on a CPU, in everything that is compared."""


@dataclass(frozen=True)
class Timing:
    """How long one call took."""

    wall_seconds: float
    """By the clock on the wall."""

    core_seconds: float
    """Of all threads together; unlike wall time it does not count what other processes
    of the machine took."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    """What was measured."""

    value: str
    """The number with its unit."""

    wanted: str = ""
    """What it should be; empty where it only explains another row."""


def timed(action: Callable[[], object]) -> Timing:
    """Return how long one call takes."""
    began, used = time.perf_counter(), time.process_time()
    action()
    return Timing(time.perf_counter() - began, time.process_time() - used)


def alternate(
    actions: Mapping[str, Callable[[], object]], *, rounds: int, warm: bool = False
) -> dict[str, list[Timing]]:
    """Time actions in turn, A B A B, so that a slow minute hits all of them.

    Args:
        actions: by name; each is called once unmeasured first, unless it is warm.
        rounds: calls of each that are timed, at least 1.
        warm: whether all have been called before.

    Returns:
        Timings by name, in order.
    """
    for action in () if warm else actions.values():
        action()
    timings: dict[str, list[Timing]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            timings[name].append(timed(action))
    return timings


def rate(count: int, timings: Sequence[Timing]) -> float:
    """Return things per second of wall time, the median over calls."""
    return count / statistics.median(timing.wall_seconds for timing in timings)


def core_rate(count: int, timings: Sequence[Timing]) -> float:
    """Return things per second if the process had all its threads to itself."""
    median = statistics.median(timing.core_seconds for timing in timings)
    return count * THREADS / median


def rates(count: int, timings: Sequence[Timing], unit: str) -> str:
    """Return both rates as a cell of the table."""
    by_wall, by_cores = rate(count, timings), core_rate(count, timings)
    return f"{by_wall:.2f} {unit} (by core time {by_cores:.2f})"


def ratio(faster: Sequence[Timing], slower: Sequence[Timing]) -> str:
    """Return how many times as fast one is as the other, as a cell of the table.

    Args:
        faster: of what should be fast; its wall time stands below the line.
        slower: of what it is compared with, for the same amount of work.
    """
    by_wall = rate(1, faster) / rate(1, slower)
    by_cores = core_rate(1, faster) / core_rate(1, slower)
    return f"{by_wall:.3f} (by core time {by_cores:.3f})"


def count_forwards(action: Callable[[], object], names: Sequence[str]) -> Counter[str]:
    """Return how many images went through networks of the named classes.

    Args:
        action: what calls the networks, not compiled.
        names: names of module classes.
    """
    images: Counter[str] = Counter()

    def count(module: torch.nn.Module, inputs: tuple, output: object) -> None:
        del output
        if type(module).__name__ in names:
            images[type(module).__name__] += len(inputs[0])

    handle = register_module_forward_hook(count)
    action()
    handle.remove()
    return images


def markdown(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| what | measured | wanted |", "|---|---|---|"]
    lines += [f"| {row.what} | {row.value} | {row.wanted} |" for row in rows]
    return "\n".join(lines) + "\n"
