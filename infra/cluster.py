"""The Ray cluster: joined or started, quiet, ready for work that costs GPU-time."""

import atexit
import logging
import os
from dataclasses import dataclass
from typing import Any

from infra.driver_end import end_on_sigterm, end_workers, mark_workers

NO_PROGRESS_SECONDS = 1800
"""Seconds without any progress after which an execution is ended as hung."""

_KEPT_MS = "300000"
"""For which idle workers are kept. Raising Ray's limit of their number instead
(``num_workers_soft_limit``) makes it start that many whenever tasks queue."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Capacity:
    """What the nodes of a cluster that are alive have, node by node."""

    node_cpus: tuple[float, ...]
    """Cores of each."""

    node_gpus: tuple[float, ...]
    """Accelerators of each, in the same order."""

    object_store_bytes: tuple[float, ...]
    """Memory of each for what tasks and actors hand on, in the same order."""

    @property
    def cpus(self) -> float:
        """Cores of all nodes."""
        return sum(self.node_cpus)

    @property
    def gpus(self) -> float:
        """Accelerators of all nodes."""
        return sum(self.node_gpus)


def start(address: str | None, *, num_cpus: int | None = None) -> bool:
    """Connect to a Ray cluster, or start one on this machine.

    Args:
        address: ``auto`` or an address joins a running cluster; ``None`` joins the one
            that ``RAY_ADDRESS`` names, as in a submitted job, or starts one.
        num_cpus: logical cores of a cluster started here; ``None``: those there are.

    Returns:
        Whether this call connected, and :func:`stop` is the caller's to call.

    Raises:
        ConnectionError: no cluster answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS")
    if address is None:
        mark_workers()
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        # Ray ends workers that were idle for a second; each new one imports anew.
        os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", _KEPT_MS)
    if not _verbose():
        # Ray's core warns of each actor pool that its arguments lie in the object
        # store, with a line of its own that no logger catches.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    if ray.is_initialized():
        return False
    logger.info("Connecting to Ray (%s).", address or "a cluster started here")
    quiet = {"logging_level": logging.ERROR, "log_to_driver": _verbose()}
    try:
        if address is None:
            # Without "local", Ray joins whatever cluster this machine has.
            ray.init("local", num_cpus=num_cpus, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except ConnectionError as error:
        raise ConnectionError(
            f"ray.address needs a running cluster; {address!r} has none that answers. "
            f"Start one with `ray start --head`, or leave ray.address out."
        ) from error
    atexit.register(stop)
    end_on_sigterm()
    prepare_data()
    return True


def stop() -> None:
    """Leave the cluster; one that :func:`start` started ends, with all its workers."""
    import ray

    ray.shutdown()
    end_workers()


def capacity() -> Capacity:
    """Return what the connected cluster has."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    each = [
        tuple(resources.get(name, 0.0) for resources in alive)
        for name in ("CPU", "GPU", "object_store_memory")
    ]
    return Capacity(*each)


def nodes() -> tuple[dict[str, Any], ...]:
    """Return each node that is alive: its address, cores and accelerators."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    return tuple(
        {
            "address": node["NodeManagerAddress"],
            "cpus": node["Resources"].get("CPU", 0.0),
            "gpus": node["Resources"].get("GPU", 0.0),
        }
        for node in alive
    )


def living_nodes() -> frozenset[str]:
    """Return the identifiers of the nodes that are alive."""
    import ray

    return frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"])


def _verbose() -> bool:
    return logger.isEnabledFor(logging.DEBUG)


def prepare_data() -> None:
    """Set Ray Data up in this process: no bars, nothing dropped, hangs ended."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = 0
    context.execution_no_progress_timeout_s = NO_PROGRESS_SECONDS
    if not _verbose():
        logging.getLogger("ray.data").setLevel(logging.ERROR)
