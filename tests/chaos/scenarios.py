"""Every fault there is a row for, in the order of the table."""

from collections.abc import Callable
from dataclasses import dataclass

import images
import killed
import lost_nodes
import storage
from ground import Ground
from outcomes import Outcome


@dataclass(frozen=True)
class Scenario:
    """A fault, how it is played, and how its last driver has to end."""

    play: Callable[[Ground, str], Outcome]
    plan: str = "fused"
    status: int = 0

    in_suite: bool = False
    """Whether the ordinary suite plays it; ``make chaos`` plays all."""

    @property
    def name(self) -> str:
        """Function and plan."""
        return f"{self.play.__name__}-{self.plan}"

    def kept_promises(self, outcome: Outcome) -> bool:
        """Return whether the run ended as if nothing had happened."""
        return outcome.as_promised and outcome.status == self.status


_LISTED = (
    Scenario(killed.actor_killed, in_suite=True),
    Scenario(killed.actor_killed, "staged"),
    Scenario(killed.writer_killed),
    Scenario(killed.driver_killed),
    Scenario(killed.driver_killed, "staged"),
    Scenario(killed.driver_interrupted),
    Scenario(killed.driver_interrupted, "staged"),
    Scenario(lost_nodes.node_lost),
    Scenario(lost_nodes.node_lost, "staged"),
    Scenario(lost_nodes.node_replaced),
    Scenario(lost_nodes.node_replaced, "staged"),
    Scenario(lost_nodes.node_cut_off),
    Scenario(lost_nodes.node_cut_off, "staged"),
    Scenario(storage.s3_fails_for_a_while),
    Scenario(storage.s3_fails_too_long),
    Scenario(storage.disk_full),
    Scenario(images.poisoned, status=3),
    Scenario(images.poisoned, "staged", status=3),
    Scenario(images.hanging),
)

SCENARIOS = {scenario.name: scenario for scenario in _LISTED}
