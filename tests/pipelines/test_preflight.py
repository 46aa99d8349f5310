from collections.abc import Callable
from typing import Any

import pytest
from clusters_made import cluster_of, refused

from infra.cluster import Capacity
from pipelines.allotment import Allotment, allot
from pipelines.preflight import refuse_hangs, refuse_waiting_workers
from pipelines.recipe import Run
from pipelines.train_recipe import TrainWorkers

DIGIT = (1, 8, 8)
MEGABYTE = 1e6


def actors(number: int, *, gpus: float = 0.0, cpus: float = 0.0) -> Allotment:
    return Allotment(number, gpus=gpus, cpus=cpus, num_threads=None)


def test_gpu_actors_that_reserve_every_core_are_refused(
    run_of: Callable[..., Run],
) -> None:
    # Two GPUs, two cores, two actors with one of each: the reading task never starts.
    run = run_of("stages.fused={actors: 2, gpus: 1, cpus: 1}")
    with pytest.raises(ValueError, match="one whole core beside its actors"):
        allot(run, cluster_of((2.0, 2.0)), DIGIT)

    allot(run_of("stages.fused={actors: 2, gpus: 1}"), cluster_of((2.0, 2.0)), DIGIT)


@pytest.mark.parametrize(
    ("nodes", "stages"),
    [
        # No node ever has a whole core, taken or not.
        ([(0.5, 0.0), (0.5, 0.0)], [actors(1)]),
        ([(0.5, 1.0)] * 4, [actors(4, gpus=1.0)]),
        # 0.5 is left on each of two nodes.
        ([(1.0, 0.0)] * 2, [actors(2, cpus=0.5)]),
        ([(2.0, 0.0)] * 2, [actors(6, cpus=0.5)]),
        # What a node of half a core has is of no use.
        ([(2.0, 0.0), (0.5, 0.0)], [actors(2, cpus=1.0)]),
        ([(4.0, 0.0)], [actors(2, cpus=1.5), actors(1, cpus=0.5)]),
    ],
)
def test_a_whole_core_has_to_be_free_on_some_node(
    run_of: Callable[..., Run],
    nodes: list[tuple[float, float]],
    stages: list[Allotment],
) -> None:
    named = dict(zip(("purify", "local_smooth"), stages, strict=False))
    with pytest.raises(ValueError, match="one whole core beside its actors"):
        refuse_hangs(named, run_of(), cluster_of(*nodes), DIGIT)


@pytest.mark.parametrize(
    ("nodes", "stages"),
    [
        ([(0.0, 0.0), (2.0, 0.0)], [actors(2, cpus=0.5)]),
        ([(1.0, 0.0)] * 3, [actors(2, cpus=1.0)]),
        ([(2.0, 0.0)] * 2, [actors(4, cpus=0.5)]),
        ([(1.0, 8.0)], [actors(8, gpus=1.0)]),
    ],
)
def test_a_plan_that_leaves_a_core_wherever_its_actors_go_passes(
    run_of: Callable[..., Run],
    nodes: list[tuple[float, float]],
    stages: list[Allotment],
) -> None:
    named = dict(zip(("purify", "local_smooth"), stages, strict=False))

    def refusal(*asking: Allotment) -> str:
        more = dict(zip(named, asking, strict=False))
        return refused(lambda: refuse_hangs(more, run_of(), cluster_of(*nodes), DIGIT))

    (stage,) = stages
    assert refusal(stage) == ""
    whole = actors(max(1, int(sum(cpus for cpus, _ in nodes))), cpus=1.0)
    assert "one whole core beside its actors" in refusal(whole)


@pytest.mark.parametrize(
    ("nodes", "settings"),
    [
        ([(1.0, 0.0)] * 4, "{actors: 1, cpus: 2}"),
        ([(8.0, 1.0)] * 2, "{actors: 1, gpus: 2}"),
        ([(32.0, 0.0), (4.0, 1.0)], "{actors: 1, gpus: 1, cpus: 8}"),
    ],
)
def test_an_actor_that_fits_no_node_is_refused(
    run_of: Callable[..., Run], nodes: list[tuple[float, float]], settings: str
) -> None:
    # The cluster has as much in all, but an actor lives on one node.
    with pytest.raises(ValueError, match=r"An actor of stage fused needs .* one node"):
        allot(run_of(f"stages.fused={settings}"), cluster_of(*nodes), DIGIT)


def staged(run_of: Callable[..., Run], batch: int = 100) -> Run:
    """Return a staged run whose calls are of one block of 100 copies."""
    return run_of(
        "plan=staged", f"batch={batch}", "sampling={num_estimate: 1000, block: 100}"
    )


def chain(number: int) -> dict[str, Allotment]:
    """Return the stages of the staged plan, each of some actors."""
    stages = ("add_noise", "purify", "local_smooth", "count_votes")
    return {name: actors(number) for name in stages}


PHOTO = (3, 224, 224)  # a block of noisy copies is 60.2 MB


@pytest.mark.parametrize(("number", "megabytes"), [(1, 361.3), (4, 1445.1)])
def test_noisy_copies_that_do_not_fit_the_object_store_are_refused(
    run_of: Callable[..., Run], number: int, megabytes: float
) -> None:
    # Of each actor: one call written, two waiting and one written, two waiting.
    def check(store: float) -> None:
        cluster = cluster_of((8.0, 0.0), store=store)
        refuse_hangs(chain(number), staged(run_of), cluster, PHOTO)

    check((megabytes + 0.1) * MEGABYTE)
    with pytest.raises(ValueError, match=r"staged plan needs .* of object store"):
        check((megabytes - 0.1) * MEGABYTE)


def test_larger_calls_need_more_of_the_object_store(
    run_of: Callable[..., Run],
) -> None:
    cluster = cluster_of((8.0, 0.0), store=800 * MEGABYTE)
    refuse_hangs(chain(1), staged(run_of, batch=299), cluster, PHOTO)
    with pytest.raises(ValueError, match="lower batch"):
        refuse_hangs(chain(1), staged(run_of, batch=300), cluster, PHOTO)


# Measured: a producer and a consumer of 201 MB with 0.4 GB had not finished 12 calls
# in 94 s, with 1.5 GB in 15 s; of 402 MB with 1.5 GB they carried 335 MB/s.
@pytest.mark.parametrize(
    ("call", "store", "hangs"),
    [(201.0, 400.0, True), (201.0, 1500.0, False), (402.0, 1500.0, False)],
)
def test_what_was_seen_to_hang_is_refused_and_what_went_well_passes(
    run_of: Callable[..., Run], call: float, store: float, hangs: bool
) -> None:
    stages = {"add_noise": actors(1), "local_smooth": actors(1)}
    cluster = cluster_of((2.0, 0.0), store=store * MEGABYTE)
    shape = (1, 1, int(call * MEGABYTE / 400))  # 100 copies of 4 bytes each
    if not hangs:
        refuse_hangs(stages, staged(run_of), cluster, shape)
        return
    with pytest.raises(ValueError, match="object store"):
        refuse_hangs(stages, staged(run_of), cluster, shape)


def test_room_counts_only_where_the_actors_can_be(run_of: Callable[..., Run]) -> None:
    stages = {
        "add_noise": actors(1, gpus=0.1),
        "purify": actors(1, gpus=0.6),
        "local_smooth": actors(1, gpus=0.3),
        "count_votes": actors(1),
    }
    large, small = 8e9, 300 * MEGABYTE
    there = Capacity((8.0, 8.0), (0.0, 1.0), (small, large))
    elsewhere = Capacity((8.0, 8.0), (0.0, 1.0), (large, small))

    refuse_hangs(stages, staged(run_of), there, PHOTO)
    with pytest.raises(ValueError, match="object store"):
        refuse_hangs(stages, staged(run_of), elsewhere, PHOTO)


def test_one_actor_needs_its_room_on_one_node(run_of: Callable[..., Run]) -> None:
    # Three calls of 60 MB at the purifier, though all nodes together have plenty.
    nodes = [(8.0, 0.0)] * 9
    run = staged(run_of)
    refuse_hangs(chain(1), run, cluster_of(*nodes, store=190 * MEGABYTE), PHOTO)
    with pytest.raises(ValueError, match=r"0\.168 GiB of it on one node"):
        refuse_hangs(chain(1), run, cluster_of(*nodes, store=170 * MEGABYTE), PHOTO)


def test_the_fused_plan_needs_room_for_the_decoded_images_of_its_units(
    run_of: Callable[..., Run],
) -> None:
    # Units of 3 blocks are 3 images at most, three of which are under way: 5.4 MB.
    run = run_of("stages.fused.actors=1")
    for store in (5.5, 5.3):
        cluster = cluster_of((8.0, 0.0), store=store * MEGABYTE)
        if store > 5.419:
            allot(run, cluster, PHOTO)
            continue
        with pytest.raises(ValueError, match=r"fused plan needs .*stages\.unit_votes"):
            allot(run, cluster, PHOTO)


@pytest.mark.parametrize(
    ("workers", "nodes"),
    [
        ({"num_workers": 3}, [(2.0, 0.0)]),
        ({"num_workers": 2, "cpus": 3}, [(4.0, 0.0), (2.0, 0.0)]),
        ({"num_workers": 3, "gpus": 0.5}, [(8.0, 1.0)]),
        ({"num_workers": 1, "gpus": 2}, [(8.0, 1.0), (8.0, 1.0)]),
        ({"num_workers": 2, "gpus": 1}, [(1.0, 4.0), (16.0, 0.0)]),
        # 0.3 on each of three accelerators are no 0.7 of one.
        ({"num_workers": 4, "gpus": 0.7}, [(8.0, 3.0)]),
    ],
)
def test_workers_that_cannot_all_be_there_are_refused(
    workers: dict[str, Any], nodes: list[tuple[float, float]]
) -> None:
    with pytest.raises(ValueError, match=r"workers all at once.*Lower workers\."):
        refuse_waiting_workers(TrainWorkers(**workers), cluster_of(*nodes))


@pytest.mark.parametrize(
    ("workers", "nodes"),
    [
        # Ray Train's own actor takes no core, so the last one may be taken.
        ({"num_workers": 2}, [(2.0, 0.0)]),
        ({"num_workers": 3, "cpus": 2}, [(4.0, 0.0), (3.0, 0.0)]),
        ({"num_workers": 3, "gpus": 1 / 3}, [(8.0, 1.0)]),
        ({"num_workers": 2, "gpus": 2}, [(8.0, 4.0)]),
    ],
)
def test_workers_that_all_find_a_place_may_train(
    workers: dict[str, Any], nodes: list[tuple[float, float]]
) -> None:
    more = {**workers, "num_workers": workers["num_workers"] + 4}

    def refusal(asked: dict[str, Any]) -> str:
        wanted, cluster = TrainWorkers(**asked), cluster_of(*nodes)
        return refused(lambda: refuse_waiting_workers(wanted, cluster))

    assert refusal(workers) == ""
    assert "workers all at once" in refusal(more)
