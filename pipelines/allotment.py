"""What each stage gets of a cluster, and which plans would hang on it."""

import math
from dataclasses import dataclass

from infra.cluster import Capacity
from pipelines.beside import ALONE, Beside
from pipelines.preflight import refuse_hangs
from pipelines.recipe import Run
from pipelines.resources import StageResources

STAGES = {
    "fused": ("fused",),
    "staged": ("add_noise", "purify", "local_smooth", "count_votes"),
}
"""Names of the actor stages of each plan, in order."""

GPU_SHARES = {
    "fused": 1.0,
    "add_noise": 0.1,
    "purify": 0.6,
    "local_smooth": 0.3,
    "count_votes": 0.0,
}
"""Share of one accelerator that an actor asks for by default."""


@dataclass(frozen=True)
class Allotment:
    """What the actors of one stage ask of the cluster."""

    actors: int
    """How many."""

    gpus: float
    """Accelerators each."""

    cpus: float
    """Cores each."""

    num_threads: int | None
    """Threads each uses to compute; ``None`` beside a GPU."""


def allot(
    run: Run,
    capacity: Capacity,
    image_shape: tuple[int, ...],
    beside: Beside = ALONE,
) -> dict[str, Allotment]:
    """Return what each stage of a run's plan gets, and refuse what would hang.

    Ray Data needs one whole core for its own tasks beside the actors; a plan that takes
    the last one waits for ever without a word.

    Args:
        run: for its plan and what it asks for.
        capacity: of the connected cluster.
        image_shape: channel, height and width of the images after preprocessing.
        beside: what shares the cluster.

    Raises:
        ValueError: the cluster has too few cores, accelerators or object store.
    """
    names = STAGES[run.plan]
    asked = {name: getattr(run.stages, name) for name in names}
    actors = {
        name: asked[name].actors
        or max(1, _actors(name, run, capacity) // beside.executions)
        for name in names
    }
    share = _cpu_share(capacity, sum(actors.values()), beside)
    stages = {
        name: _stage(name, asked[name], actors[name], share, capacity) for name in names
    }
    refuse_hangs(stages, run, capacity, image_shape, beside)
    return stages


def _actors(name: str, run: Run, capacity: Capacity) -> int:
    if capacity.gpus:
        return max(1, int(capacity.gpus)) if GPU_SHARES[name] else 1
    if run.plan == "staged":
        return max(1, int(_spare_cpus(capacity)) // len(STAGES["staged"]))
    if len(capacity.node_cpus) == 1:
        return max(1, int(capacity.cpus))
    return max(1, int(_spare_cpus(capacity)))


def _spare_cpus(capacity: Capacity) -> float:
    """Return the cores that may be taken if every node keeps a whole one."""
    return sum(max(0.0, math.floor(cpus) - 1) for cpus in capacity.node_cpus)


def _cpu_share(capacity: Capacity, num_actors: int, beside: Beside) -> float:
    """Return the cores an actor asks for so that one stays free on every node."""
    spare = max(0.0, _spare_cpus(capacity) - beside.cpus)
    share = min(1.0, spare / (num_actors * beside.executions))
    return math.floor(share * 10_000) / 10_000


def _stage(
    name: str,
    asked: StageResources,
    actors: int,
    share: float,
    capacity: Capacity,
) -> Allotment:
    gpus = asked.gpus
    if gpus is None:
        gpus = GPU_SHARES[name] if capacity.gpus else 0.0
    beside_gpu = gpus > 0 or capacity.gpus > 0
    cpus = asked.cpus
    if cpus is None:
        cpus = 0.0 if beside_gpu else share
    threads = None if gpus else max(1, int(max(capacity.node_cpus)) // actors)
    return Allotment(actors, gpus, cpus, threads)
