"""Clusters of several nodes: as processes side by side, or in network namespaces."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import processes
from ground import Impossible

OWN_AUTHENTICATION = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
IMPATIENT = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""Lets the head give a silent node up after some four seconds."""

CUT_SECONDS = 15.0
_SUBNET = "10.213.77"
_PORT = 6399


@contextmanager
def side_by_side(num_gpu_nodes: int = 2) -> Iterator[Any]:
    """Start a head without GPUs and nodes with a logical one each, two cores each.

    Only the main thread may start nodes.

    Yields:
        ``ray.cluster_utils.Cluster``.
    """
    from ray.cluster_utils import Cluster

    os.environ.update(OWN_AUTHENTICATION)
    head = {"num_cpus": 2, "num_gpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(num_gpu_nodes):
            add_gpu_node(cluster)
        yield cluster
    finally:
        cluster.shutdown()


def add_gpu_node(cluster: Any) -> None:
    """Add a node with two cores and a logical GPU."""
    cluster.add_node(num_cpus=2, num_gpus=1)


def remove(cluster: Any, node_id: str) -> None:
    """Kill all processes of a node at once, as if its power were cut."""
    (node,) = [n for n in cluster.worker_nodes if n.node_id == node_id]
    cluster.remove_node(node, allow_graceful=False)


@dataclass(frozen=True)
class Island:
    """A node with a network of its own, joined to the head's by a cable."""

    number: int

    @property
    def namespace(self) -> str:
        """Its network namespace."""
        return f"chaos{self.number}"

    @property
    def cable(self) -> str:
        """The head's end of its cable."""
        return f"chaoscable{self.number}"

    @property
    def address(self) -> str:
        """Its own address."""
        return f"{_SUBNET}.{self.number}"

    def cut(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self.cable, "down")

    def join(self) -> None:
        """Put the cable back."""
        _ip("link", "set", self.cable, "up")


@dataclass(frozen=True)
class Archipelago:
    """A head and its islands."""

    address: str
    """What drivers join."""

    islands: Sequence[Island]

    def island_of(self, pid: int) -> Island:
        """Return the island on which a process lives."""
        own = os.stat(f"/proc/{pid}/ns/net").st_ino
        for island in self.islands:
            if Path(f"/run/netns/{island.namespace}").stat().st_ino == own:
                return island
        raise AssertionError(f"process {pid} lives on no island")


@contextmanager
def archipelago(num_islands: int = 2) -> Iterator[Archipelago]:
    """Start a head and nodes in network namespaces of their own.

    Raises:
        Impossible: the kernel has no namespaces for this user, or ``ip`` is missing.
    """
    mark = processes.new_mark()
    with ExitStack() as ends:
        _bridge(ends)
        islands = [Island(10 + i) for i in range(num_islands)]
        for island in islands:
            _cable(island, ends)
        ends.callback(processes.left_after, mark, 20.0)
        ends.callback(processes.kill_marked, mark)
        head = f"{_SUBNET}.1"
        _ray_node([], ["--head", f"--port={_PORT}", "--num-gpus=0"], head, mark)
        for island in islands:
            inside = ["ip", "netns", "exec", island.namespace]
            joins = [f"--address={head}:{_PORT}", "--num-gpus=1"]
            _ray_node(inside, joins, island.address, mark)
        yield Archipelago(f"{head}:{_PORT}", islands)


def _bridge(ends: ExitStack) -> None:
    try:
        _ip("link", "add", "chaosbridge", "type", "bridge")
    except (OSError, subprocess.CalledProcessError) as refused:
        said = getattr(refused, "stderr", "") or refused
        raise Impossible(f"no network of its own can be made here: {said}") from refused
    ends.callback(_ip, "link", "delete", "chaosbridge")
    _ip("address", "add", f"{_SUBNET}.1/24", "dev", "chaosbridge")
    _ip("link", "set", "chaosbridge", "up")


def _cable(island: Island, ends: ExitStack) -> None:
    _ip("netns", "add", island.namespace)
    ends.callback(_ip, "netns", "delete", island.namespace)
    ends.callback(_empty, island)
    inside = ("-n", island.namespace)
    peer = ("peer", "name", "eth0", "netns", island.namespace)
    _ip("link", "add", island.cable, "type", "veth", *peer)
    _ip("link", "set", island.cable, "master", "chaosbridge", "up")
    _ip(*inside, "address", "add", f"{island.address}/24", "dev", "eth0")
    _ip(*inside, "link", "set", "eth0", "up")
    _ip(*inside, "link", "set", "lo", "up")


def _empty(island: Island) -> None:
    """End who lives on an island still, such as Ray's agents: they hold its cable."""
    while pids := _ip("netns", "pids", island.namespace).split():
        for pid in pids:
            processes.kill(int(pid))
        time.sleep(0.1)


def _ip(*words: str) -> str:
    ran = subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    return ran.stdout


def _ray_node(
    inside: Sequence[str], words: Sequence[str], address: str, mark: str
) -> None:
    ray = str(Path(sys.executable).with_name("ray"))
    common = [
        "--num-cpus=2",
        "--object-store-memory=200000000",
        "--disable-usage-stats",
    ]
    environment = {**os.environ, **OWN_AUTHENTICATION, **IMPATIENT}
    subprocess.run(
        [*inside, ray, "start", *words, f"--node-ip-address={address}", *common],
        env={**environment, processes.MARK: mark},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=120,
    )
