"""What would hang on a cluster without a word, refused before it is launched."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra.cluster import Capacity
from pipelines.beside import ALONE, Beside
from pipelines.recipe import Run

if TYPE_CHECKING:
    from pipelines.allotment import Allotment
    from pipelines.train_recipe import TrainWorkers

CALLS_HELD = {
    "fused": 3,
    "add_noise": 1,
    "purify": 3,
    "local_smooth": 2,
    "count_votes": 0,
}
"""Calls whose pixels an actor keeps in the object store: up to two that wait for it
and one that it, or the task before the fused stage, writes."""

_FLOAT_BYTES = 4
_ROUNDING = 1e-6


def refuse_hangs(
    stages: "Mapping[str, Allotment]",
    run: Run,
    capacity: Capacity,
    image_shape: tuple[int, ...],
    beside: Beside = ALONE,
) -> None:
    """Refuse a plan of which a part would wait for ever.

    Args:
        stages: what the actors of each stage ask for.
        run: for its plan and the size of its calls.
        capacity: of the cluster.
        image_shape: channel, height and width of the images.
        beside: what shares the cluster.

    Raises:
        ValueError: an actor fits no node, the actors may leave no whole core on any
            node for Ray Data's tasks, stages wait for each other's accelerators, or
            what crosses the object store does not fit in.
    """
    for name, stage in stages.items():
        _require_a_node(name, stage, capacity)
    _require_a_free_core(stages, capacity, beside)
    _require_gpus(stages, capacity, beside)
    _require_room(stages, run, capacity, image_shape)


def refuse_waiting_workers(workers: "TrainWorkers", capacity: Capacity) -> None:
    """Refuse a training whose workers cannot all be there at once.

    Ray Train asks for them again every minute, for ever.

    Args:
        workers: of a training recipe.
        capacity: of the cluster.

    Raises:
        ValueError: the nodes have room for fewer.
    """
    nodes = zip(capacity.node_cpus, capacity.node_gpus, strict=True)
    room = sum(
        min(int(cpus // workers.cpus), _gpu_slots(gpus, workers.gpus))
        for cpus, gpus in nodes
    )
    if room < workers.num_workers:
        raise ValueError(
            f"A training needs its {workers.num_workers} workers all at once, each "
            f"with {workers.cpus} cores and {workers.gpus:g} GPUs of one node; the "
            f"cluster has room for {room}. Lower workers.num_workers, workers.cpus or "
            f"workers.gpus, or add a node."
        )


def _gpu_slots(gpus: float, each: float) -> int:
    """Return how many workers find their part of a node's accelerators."""
    if each == 0:
        return 1 << 30
    return int(gpus) * int(1 / each + _ROUNDING) if each < 1 else int(gpus // each)


def _hosts(stage: "Allotment", capacity: Capacity) -> list[int]:
    """Return the nodes that have what one actor asks for."""
    nodes = zip(capacity.node_cpus, capacity.node_gpus, strict=True)
    return [
        node
        for node, (cpus, gpus) in enumerate(nodes)
        if cpus >= stage.cpus and gpus >= stage.gpus
    ]


def _require_a_node(name: str, stage: "Allotment", capacity: Capacity) -> None:
    if not _hosts(stage, capacity):
        nodes = zip(capacity.node_cpus, capacity.node_gpus, strict=True)
        there = ", ".join(f"{cpus:g} and {gpus:g}" for cpus, gpus in nodes)
        raise ValueError(
            f"An actor of stage {name} needs {stage.cpus:g} cores and {stage.gpus:g} "
            f"GPUs of one node; the cluster has nodes of {there}. "
            f"Lower stages.{name}.cpus or stages.{name}.gpus, or add a larger node."
        )


def _require_a_free_core(
    stages: "Mapping[str, Allotment]", capacity: Capacity, beside: Beside
) -> None:
    each = sum(stage.actors * stage.cpus for stage in stages.values())
    taken = each * beside.executions + beside.cpus
    whole = [cpus for cpus in capacity.node_cpus if cpus >= 1]
    if beside.cpus % 1 or any(stage.cpus % 1 for stage in stages.values()):
        # To leave less than a core on every node, fractions take more than this.
        most = sum(cpus - 1 for cpus in whole) if whole else -1
    else:
        most = sum(map(math.floor, whole)) - 1
    if taken > most + _ROUNDING:
        raise ValueError(
            f"The plan needs one whole core beside its actors, on some node however "
            f"they are placed; {_who(beside)} take {taken:g} of {capacity.cpus:g} "
            f"cores on {len(capacity.node_cpus)} nodes. Lower stages.*.actors or "
            f"stages.*.cpus{_or_fewer(beside)}, or add a node."
        )


def _who(beside: Beside) -> str:
    if beside.executions == 1 and not beside.cpus:
        return "they"
    trials = "trial" if beside.executions == 1 else "trials"
    return f"{beside.executions} {trials} at once"


def _or_fewer(beside: Beside) -> str:
    return "" if beside.executions == 1 else ", or study.concurrent"


def _require_gpus(
    stages: "Mapping[str, Allotment]", capacity: Capacity, beside: Beside
) -> None:
    asking = [stage for stage in stages.values() if stage.gpus > 0]
    # Surplus actors of an only stage may wait; those of one stage starve another.
    alone = len(asking) == 1 and beside.executions == 1
    gpus = sum(s.gpus * (1 if alone else s.actors) for s in asking)
    gpus *= beside.executions
    if gpus > capacity.gpus + _ROUNDING:
        raise ValueError(
            f"The plan needs {gpus:g} GPUs for its stages; the cluster has "
            f"{capacity.gpus:g}. Lower stages.*.gpus or stages.*.actors"
            f"{_or_fewer(beside)}, or add a node."
        )


def _require_room(
    stages: "Mapping[str, Allotment]",
    run: Run,
    capacity: Capacity,
    image_shape: tuple[int, ...],
) -> None:
    call = images_per_call(run) * math.prod(image_shape) * _FLOAT_BYTES
    held = {name: call * CALLS_HELD[name] for name in stages}
    wanted = sum(stages[name].actors * held[name] for name in stages)
    moving = (stage for name, stage in stages.items() if held[name])
    hosts = {node for stage in moving for node in _hosts(stage, capacity)}
    stores = [capacity.object_store_bytes[node] for node in hosts]
    if wanted > sum(stores) or max(held.values()) > max(stores):
        raise ValueError(
            f"The {run.plan} plan needs {_gib(wanted)} of object store for the pixels "
            f"that its stages hand on, {_gib(max(held.values()))} of it on one node; "
            f"the cluster has {_gib(sum(stores))}, {_gib(max(stores))} on one node. "
            f"{_REMEDIES[run.plan]}, or start Ray with more --object-store-memory."
        )


_REMEDIES = {
    "fused": "Lower stages.unit_votes or stages.fused.actors",
    "staged": "Take plan fused, or lower batch, sampling.block or stages.*.actors",
}


def images_per_call(run: Run) -> int:
    """Return how many images' pixels one call of a stage is handed.

    Args:
        run: for its plan; fused, a call is a unit of decoded images, staged, some
            blocks of noisy copies.
    """
    block = run.sampling.block
    if run.plan == "staged":
        return block * max(1, run.batch // block)
    # A run that goes on may miss but one block of each image.
    return max(1, run.stages.unit_votes // block)


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / (1 << 30):.3g} GiB"
