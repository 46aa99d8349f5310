"""Clusters that are made up, and what is refused on them."""

from collections.abc import Callable

from infra.cluster import Capacity


def cluster_of(*nodes: tuple[float, float], store: float = 4e9) -> Capacity:
    """Return a cluster of nodes, each with cores and accelerators."""
    cpus, gpus = zip(*nodes, strict=True)
    return Capacity(cpus, gpus, (store,) * len(nodes))


def refused(ask: Callable[[], object]) -> str:
    """Return why something is refused; nothing if it is not."""
    try:
        ask()
    except ValueError as refusal:
        return str(refusal)
    return ""
