"""Tells now and then how far the votes are that trials wait for."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from infra.object_store import Store
from pipelines.heartbeat import Heartbeat, read_heartbeat

LOOK_SECONDS = 60.0
"""Between two lines."""

logger = logging.getLogger(__name__)


@contextmanager
def votes_told(store: Store, run_id: str) -> Iterator[None]:
    """Log how far casting is while the body runs.

    Args:
        store: of OUT, into which casters write how far they are.
        run_id: of this start; what others wrote is passed over.
    """
    stop = threading.Event()
    teller = threading.Thread(target=_tell, args=(store, run_id, stop), daemon=True)
    teller.start()
    try:
        yield
    finally:
        stop.set()
        teller.join()


def _tell(store: Store, run_id: str, stop: threading.Event) -> None:
    while not stop.wait(LOOK_SECONDS):
        try:
            beat = read_heartbeat(store)
        except (OSError, ValueError) as error:  # a study goes on without being watched
            logger.warning("progress.json cannot be read now: %s", error)
            continue
        if beat is not None and beat.run == run_id and beat.is_alive:
            logger.info("%s", told(beat))


def told(beat: Heartbeat) -> str:
    """Return how far a pass is, as words.

    Args:
        beat: of the pass.
    """
    left = beat.seconds_left
    rest = "" if left is None else f", {left:.0f} s left"
    return (
        f"sigma {beat.sigma:g}: {beat.votes:,} of {beat.votes_wanted:,} copies voted "
        f"on, {beat.votes_per_second:,.0f} a second{rest}"
    )
