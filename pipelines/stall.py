"""Notices that nothing moves any more after a node was lost."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pipelines.unit_tracker import News

STALL_SECONDS = 60.0
"""Without any call on a living node, after which an execution is begun anew."""


@dataclass
class Stall:
    """Says when an execution that has lost a node is to be ended and begun anew.

    Ray rebuilds what a lost node held by calls of the actors that made it; where one of
    them is gone or finds no room it may wait for ever. The ledger has all that counts,
    so beginning anew with what is left of the cluster costs the units under way.
    """

    living: Callable[[], frozenset[str]]
    """Returns the identifiers of the nodes that are alive."""

    may_begin: Callable[[], bool]
    """Returns whether what is left of the cluster has room for the run."""

    clock: Callable[[], float] = time.monotonic
    nodes: frozenset[str] = field(init=False)
    """Those that lived in the beginning."""

    _moved: float = field(init=False)

    def __post_init__(self) -> None:
        self.nodes, self._moved = self.living(), self.clock()

    def noticed(self, news: News) -> bool:
        """Return whether to begin anew.

        Args:
            news: of the tracker, since this was asked last.
        """
        living = self.living()
        moves = news.names or any(one.node in living for one in news.in_flight)
        if moves or self.nodes <= living:
            self._moved = self.clock()
            return False
        return self.clock() - self._moved >= STALL_SECONDS and self.may_begin()
