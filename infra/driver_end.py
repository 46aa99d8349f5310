"""How a driver ends: soon after SIGTERM, and with all workers that it started."""

import logging
import os
import signal
import threading
from contextlib import suppress

import psutil

logger = logging.getLogger(__name__)

MARK = "DIFFSMOOTH_DRIVER"
"""Environment variable by which the workers of a driver's own cluster are known."""

WORKERS_END_SECONDS = 3.0
"""Within which workers end by themselves; some hang on their way out."""

STOP_SECONDS = 15.0
"""Within which a driver ends after SIGTERM, whether or not its cluster answers."""


def mark_workers() -> None:
    """Let whatever this process starts be known as its own."""
    os.environ[MARK] = str(os.getpid())


def end_workers() -> None:
    """End the workers that this process's own cluster has left behind."""
    left = [process for process in psutil.process_iter() if _is_own_worker(process)]
    _, alive = psutil.wait_procs(left, WORKERS_END_SECONDS)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def end_on_sigterm() -> None:
    """Make SIGTERM end this process as Ctrl-C does; only the main thread can."""
    # Schedulers reclaim a machine with SIGTERM.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)


def _stop(*_: object) -> None:
    # Some senders send it twice; the second must not cut short what the first began,
    # also where it came before this process got to the next line.
    if signal.getsignal(signal.SIGTERM) == signal.SIG_IGN:
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Who sends it to all processes of a job ends the cluster before its driver, which
    # then waits for an answer in vain.
    watchdog = threading.Timer(STOP_SECONDS, _leave)
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt


def _leave() -> None:
    logger.error(
        "Stopped by SIGTERM; what was under way did not end within %g s, as where the "
        "cluster was stopped too. What was written is kept; to continue, run the same "
        "command again.",
        STOP_SECONDS,
    )
    end_workers()
    os._exit(1)


def _is_own_worker(process: psutil.Process) -> bool:
    with suppress(psutil.Error, OSError):  # it has just ended, or is somebody else's
        command = " ".join(process.cmdline())
        rays = command.startswith("ray::") or "/ray/" in command
        return rays and process.environ().get(MARK) == str(os.getpid())
    return False
