"""The command line as a process that can be watched, killed and run again."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import processes
from journal import INJECTION, Injection

END_SECONDS = 550.0
"""A driver that has not ended by then hangs."""

TOLD_CHARACTERS = 20_000

COMMAND_LINE = """
import signal
from pipelines.cli import main
# Whoever started this in the background made its children deaf to it.
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Driver:
    """A driver that runs or has run."""

    process: subprocess.Popen
    log: Path
    mark: str
    """What all its processes carry."""

    def wait_until(self, happened: Callable[[], object], what: str) -> None:
        """Wait for something that has to happen before the driver ends.

        Raises:
            AssertionError: it did not happen.
        """
        ended = self.process.poll
        processes.wait_until(
            lambda: happened() or ended() is not None, what, END_SECONDS
        )
        if not happened():
            raise AssertionError(f"{what} did not happen; {self.told()}")

    def kill(self) -> list[str]:
        """Send SIGKILL; returns what of its processes does not end with it."""
        processes.kill(self.process.pid)
        self.process.wait()
        return processes.left_after(self.mark)

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        """Wait for the end; returns the exit status."""
        try:
            return self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired as hung:
            raise AssertionError(f"the driver hangs; {self.told()}") from hung

    def require_refusal(self, *words: str) -> None:
        """Wait for the end; it has to be status 1 and an error that says all of these.

        Raises:
            AssertionError: it is not.
        """
        status = self.ended()
        error = self.told().rpartition(" ERROR ")[2]
        if status != 1 or not all(word in error for word in words):
            raise AssertionError(
                f"status 1 and an error with {words} are promised; status {status} "
                f"has {error[:2000]!r}"
            )

    def told(self) -> str:
        """Return the end of what it has said."""
        return self.log.read_text(errors="replace")[-TOLD_CHARACTERS:]


@contextmanager
def started(
    words: Sequence[str], injection: Injection, log: Path, server: Environment
) -> Iterator[Driver]:
    """Start a driver; none of its processes outlives the body.

    Args:
        words: of the command line, the verb first.
        injection: what its workers do beside their work.
        log: where all that it says is appended.
        server: what it needs in its environment to reach an object store.
    """
    mark = processes.new_mark()
    with log.open("a") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND_LINE, *words],
            env={**os.environ, **_environment(injection, mark, server)},
            stdout=said,
            stderr=said,
        )
    try:
        yield Driver(process, log, mark)
    finally:
        processes.kill(process.pid)
        process.wait()
        processes.left_after(mark)
        processes.kill_marked(mark)


def _environment(
    injection: Injection, mark: str, server: Environment
) -> dict[str, str]:
    """Return what a driver gets, and its workers on whatever node."""
    folders = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    of_workers = {
        **server,
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        INJECTION: injection.text(),
        processes.MARK: mark,
    }
    # What `ray job submit` leaves for the driver it starts, and ray.init reads.
    job = {
        "runtime_env": {
            "worker_process_setup_hook": "journal.install",
            "env_vars": of_workers,
        }
    }
    return {**of_workers, "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job)}
