"""What shares a cluster with one execution of a plan."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Beside:
    """Executions of the same size, and who holds cores besides."""

    executions: int = 1
    """At once, the one that is planned among them."""

    cpus: float = 0.0
    """Cores that others hold."""


ALONE = Beside()
