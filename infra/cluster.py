"""The Ray cluster: joined or started, quiet, ready for work that costs GPU-time."""

import logging
import os
from dataclasses import dataclass

NO_PROGRESS_SECONDS = 1800
"""Seconds without any progress after which an execution is ended as hung."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Capacity:
    """What the nodes of a cluster have in all, each node's cores apart."""

    node_cpus: tuple[float, ...]
    """Cores of each node that is alive."""

    gpus: float
    """Accelerators of all nodes."""

    @property
    def cpus(self) -> float:
        """Cores of all nodes."""
        return sum(self.node_cpus)


def start(address: str | None, *, num_cpus: int | None = None) -> bool:
    """Connect to a Ray cluster, or start one on this machine.

    Args:
        address: ``auto`` or an address joins a running cluster; ``None`` starts one.
        num_cpus: logical cores of a cluster started here; ``None``: those there are.

    Returns:
        Whether this call connected, and :func:`stop` is the caller's to call.

    Raises:
        ConnectionError: no cluster answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
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
            ray.init(num_cpus=num_cpus, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except ConnectionError as error:
        raise ConnectionError(
            f"ray.address needs a running cluster; {address!r} has none that answers. "
            f"Start one with `ray start --head`, or leave ray.address out."
        ) from error
    _prepare_data()
    return True


def stop() -> None:
    """Leave the cluster; one that :func:`start` started ends."""
    import ray

    ray.shutdown()


def capacity() -> Capacity:
    """Return what the connected cluster has."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return Capacity(
        node_cpus=tuple(resources.get("CPU", 0.0) for resources in alive),
        gpus=sum(resources.get("GPU", 0.0) for resources in alive),
    )


def _verbose() -> bool:
    return logger.isEnabledFor(logging.DEBUG)


def _prepare_data() -> None:
    """Set Ray Data up: no bars of its own, nothing dropped, hangs ended."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = 0
    context.execution_no_progress_timeout_s = NO_PROGRESS_SECONDS
    if not _verbose():
        logging.getLogger("ray.data").setLevel(logging.ERROR)
