"""Processes of their own, whose time and peak memory are measured."""

import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.1
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Cost:
    """What a call took in a process of its own."""

    result: Any
    seconds: float

    megabytes: float
    """By which the peak of the process grew."""

    peak_megabytes: float
    """Of the process, with all it had imported before."""


@dataclass
class Watched:
    """A program that runs, and the most memory it had when it was looked at."""

    process: subprocess.Popen
    began: float
    """When it was started, in seconds since 1970."""

    peaks: list[tuple[float, float]] = field(default_factory=list)
    """When it was looked at, and its peak until then, in MB."""

    @property
    def peak_megabytes(self) -> float:
        """The most memory it was seen to have had."""
        return self.peaks[-1][1] if self.peaks else 0.0

    def look(self) -> bool:
        """Note its memory; return whether it still runs."""
        with suppress(FileNotFoundError, ProcessLookupError, StopIteration):
            self.peaks.append((time.time(), peak_megabytes(self.process.pid)))
        return self.process.poll() is None

    def wait(self) -> float:
        """Wait until it ends; return how long it ran, in seconds.

        Raises:
            SystemExit: it failed.
        """
        while self.look():
            time.sleep(LOOK_SECONDS)
        if self.process.returncode:
            raise SystemExit(f"{self.process.args} ended: {self.process.returncode}")
        return time.time() - self.began


@contextmanager
def watched(
    command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Watched]:
    """Run a program; it is interrupted if it still runs after the body.

    Args:
        command: its words.
        environment: added to this process's.
    """
    began = time.time()
    process = subprocess.Popen(command, env={**os.environ, **environment})
    running = Watched(process, began)
    try:
        yield running
    finally:
        if running.look():
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def own_ray() -> Iterator[None]:
    """Let Ray keep its files apart, so that it neither finds nor shows its clusters."""
    before = os.environ.get("RAY_TMPDIR")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # sockets need short paths
        os.environ["RAY_TMPDIR"] = name
        try:
            yield
        finally:
            os.environ.pop("RAY_TMPDIR")
            if before is not None:
                os.environ["RAY_TMPDIR"] = before


def peak_megabytes(pid: int) -> float:
    """Return the most memory a process ever had, in MB.

    Args:
        pid: its number.

    Raises:
        FileNotFoundError: it has ended.
        StopIteration: it is ending.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def cost(function: Callable[..., Any], *words: Any) -> Cost:
    """Return what a call takes in a fresh process that has imported its module.

    Args:
        function: of a module; what it returns is handed back.
        words: its arguments.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (function, words))


def _measured(function: Callable[..., Any], words: tuple[Any, ...]) -> Cost:
    before, began = peak_megabytes(os.getpid()), time.perf_counter()
    result = function(*words)
    seconds = time.perf_counter() - began
    peak = peak_megabytes(os.getpid())
    return Cost(result, seconds, peak - before, peak)
