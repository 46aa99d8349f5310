"""What a running driver says of itself in OUT, for ``diffsmooth status``."""

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from infra.object_store import Store
from pipelines.json_file import json_object

NAME = "progress.json"

BEAT_SECONDS = 10.0
"""Between two heartbeats."""

SILENCE_SECONDS = 6 * BEAT_SECONDS
"""After which a driver is taken to be dead; clocks may differ a little."""

State = Literal["running", "voted", "stopped", "failed"]


@dataclass(frozen=True)
class Heartbeat:
    """Where a driver stands with the votes of one sigma."""

    run: str
    """Identifier of this start of the run, as in its logs and metrics."""

    state: State
    sigma: float
    images: int
    """Asked for."""

    images_done: int
    """With all their votes."""

    votes: int
    """In the ledger."""

    votes_wanted: int
    votes_per_second: float
    """Since this start."""

    at_most: bool = False
    """Whether fewer votes than wanted may do, as images stop by themselves."""

    retries: int = 0
    """Calls that were begun again because their worker died."""

    set_aside: Mapping[str, str] = field(default_factory=dict)
    """Images that are not tried again, with the reason."""

    in_flight: tuple[str, ...] = ()
    """Calls under way, the longest first, as words."""

    nodes: tuple[Mapping[str, Any], ...] = ()
    """Address, cores and accelerators of each node that is alive."""

    reason: str = ""
    """Why it stopped or failed."""

    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    updated: float = field(default_factory=time.time)
    """Seconds since the epoch."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all votes are there at the rate so far; ``None``: no rate."""
        if not self.votes_per_second:
            return None
        return max(0, self.votes_wanted - self.votes) / self.votes_per_second

    @property
    def is_alive(self) -> bool:
        """Whether its driver is at work and was heard of lately."""
        return self.state == "running" and self.silent_seconds < SILENCE_SECONDS

    @property
    def silent_seconds(self) -> float:
        """Seconds since it was written."""
        return max(0.0, time.time() - self.updated)


def write_heartbeat(store: Store, beat: Heartbeat) -> None:
    """Put a heartbeat in place of the last one.

    Args:
        store: of OUT.
        beat: what to say.
    """
    store.write(NAME, json.dumps(asdict(beat), indent=2).encode())


def read_heartbeat(store: Store) -> Heartbeat | None:
    """Return the last heartbeat, if there is one.

    Args:
        store: of OUT.
    """
    if not store.exists(NAME):
        return None
    remedy = "Delete it; it only tells diffsmooth status how a run stands."
    said = json_object(store, NAME, remedy)
    if said.keys() != {one.name for one in fields(Heartbeat)}:
        return None  # of another version, which says nothing that we know
    lists = {name: tuple(said[name]) for name in ("in_flight", "nodes")}
    return Heartbeat(**{**said, **lists})
