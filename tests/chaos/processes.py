"""The processes of a run, told by a mark in their environment, and their ends."""

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil

MARK = "CHAOS_MARK"
"""Environment variable that all processes of a run inherit."""

OF_THE_CLUSTER = (
    "ray::_StatsActor",
    "ray::ActorLocationTracker",
    "ray::_AutoscalingCoordinatorActor",
    "ray::DashboardAgent",
    "ray::RuntimeEnvAgent",
)
"""What Ray starts once for all runs of a cluster and keeps; its agents need a minute to
notice that the cluster of a driver that got SIGKILL is gone."""

GONE_SECONDS = 30.0
"""Within which every process of a run has to end after its driver."""


class StillWaiting(AssertionError):
    """What was waited for did not happen."""


def new_mark() -> str:
    """Return a mark that no other run has."""
    return uuid.uuid4().hex


def marked(mark: str) -> dict[int, str]:
    """Return the command lines of the living processes of a run, by pid.

    Args:
        mark: what they carry.
    """
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = command.decode(errors="replace").strip()
    return {
        pid: command
        for pid, command in found.items()
        if not command.startswith(OF_THE_CLUSTER)
    }


def started_by(pid: int) -> dict[int, str]:
    """Return the command lines of the living processes under one, by pid."""
    below = {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return {
        process.pid: " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if process.pid in below and process.info["cmdline"]  # none: it has just ended
    }


def left_after(mark: str, seconds: float = GONE_SECONDS) -> list[str]:
    """Return what of a run still lives when it had that long to end."""
    end = time.monotonic() + seconds
    while (alive := marked(mark)) and time.monotonic() < end:
        time.sleep(0.1)
    return [f"process {pid}: {command[:80]}" for pid, command in alive.items()]


def kill_marked(mark: str) -> None:
    """End whatever is left of a run."""
    for pid in marked(mark):
        kill(pid)


def kill(pid: int) -> None:
    """Send SIGKILL to a process, which may have ended before."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_until(happened: Callable[[], object], what: str, seconds: float) -> None:
    """Wait for something.

    Raises:
        StillWaiting: it did not happen in time.
    """
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise StillWaiting(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)
