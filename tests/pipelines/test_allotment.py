from collections.abc import Callable

import pytest

from infra.cluster import Capacity
from pipelines.allotment import STAGES, Allotment, allot
from pipelines.recipe import Run

DIGIT = (1, 8, 8)
MACHINES = [(1.0,), (2.0,), (3.0,), (16.0,), (2.0, 2.0), (1.0, 8.0), (64.0,) * 4]


def cluster_of(cores: tuple[float, ...], *, gpus: float = 0.0) -> Capacity:
    """Return a cluster whose accelerators are in its first node."""
    node_gpus = (gpus, *[0.0] * (len(cores) - 1))
    return Capacity(cores, node_gpus, (4e9,) * len(cores))


def cpus_of(stages: dict[str, Allotment]) -> float:
    return sum(stage.actors * stage.cpus for stage in stages.values())


@pytest.mark.parametrize("plan", ["fused", "staged"])
@pytest.mark.parametrize("cores", MACHINES)
def test_left_to_itself_a_plan_leaves_every_node_a_whole_core(
    run_of: Callable[..., Run], plan: str, cores: tuple[float, ...]
) -> None:
    stages = allot(run_of(f"plan={plan}"), cluster_of(cores), DIGIT)

    # As many whole cores as nodes stay free, so one node has one however they pack.
    assert cpus_of(stages) <= sum(cores) - len(cores) + 1e-9
    assert tuple(stages) == STAGES[plan]
    assert all(stage.actors >= 1 and stage.gpus == 0 for stage in stages.values())


@pytest.mark.parametrize(
    ("cores", "settings"),
    [
        # Two actors of 0.9 cores leave no whole one of two: the read never starts.
        ((2.0,), ["stages.fused={actors: 2, cpus: 0.9}"]),
        ((2.0,), ["stages.fused={actors: 2, cpus: 1}"]),
        ((4.0,), ["stages.fused={actors: 4, cpus: 1}"]),
        ((1.0,), ["stages.fused={actors: 1, cpus: 0.1}"]),
        ((2.0, 2.0), ["stages.fused={actors: 4, cpus: 1}"]),
        ((4.0,), ["plan=staged", "stages.purify={actors: 4, cpus: 1}"]),
    ],
)
def test_a_plan_that_takes_the_last_core_is_refused(
    run_of: Callable[..., Run], cores: tuple[float, ...], settings: list[str]
) -> None:
    with pytest.raises(ValueError, match="needs one whole core beside its actors"):
        allot(run_of(*settings), cluster_of(cores), DIGIT)


def test_cores_in_pieces_on_several_nodes_are_no_whole_core(
    run_of: Callable[..., Run],
) -> None:
    # 3 of 4 cores are asked for, but 3 x 0.6 and 2 x 0.6 leave 0.2 and 0.8.
    with pytest.raises(ValueError, match="whole core"):
        allot(
            run_of("stages.fused={actors: 5, cpus: 0.6}"), cluster_of((2.0, 2.0)), DIGIT
        )


@pytest.mark.parametrize(
    ("cores", "settings"),
    [
        ((2.0,), ["stages.fused={actors: 1, cpus: 1}"]),
        ((2.0, 2.0), ["stages.fused={actors: 3, cpus: 1}"]),
        ((2.0,), ["stages.fused={actors: 2, cpus: 0.5}"]),
        ((1.0,), ["stages.fused={actors: 2, cpus: 0}"]),
    ],
)
def test_a_plan_that_leaves_a_core_is_as_asked_for(
    run_of: Callable[..., Run], cores: tuple[float, ...], settings: list[str]
) -> None:
    run = run_of(*settings)

    (stage,) = allot(run, cluster_of(cores), DIGIT).values()

    assert (stage.actors, stage.cpus) == (
        run.stages.fused.actors,
        run.stages.fused.cpus,
    )


def test_an_actor_beside_a_gpu_asks_for_no_core(run_of: Callable[..., Run]) -> None:
    (stage,) = allot(run_of(), cluster_of((2.0,), gpus=2.0), DIGIT).values()

    # Ray gives a GPU actor one core unless told otherwise, and hangs without it.
    assert stage == Allotment(actors=2, gpus=1.0, cpus=0.0, num_threads=None)


def test_the_stages_of_the_staged_plan_share_each_gpu(
    run_of: Callable[..., Run],
) -> None:
    stages = allot(run_of("plan=staged"), cluster_of((8.0,), gpus=1.0), DIGIT)

    assert sum(stage.gpus for stage in stages.values()) == pytest.approx(1.0)
    assert stages["count_votes"].gpus == 0
    assert cpus_of(stages) == 0


@pytest.mark.parametrize(
    ("gpus", "settings"),
    [
        (0.0, ["stages.fused.gpus=1"]),
        (1.0, ["stages.fused.gpus=2"]),
        (1.0, ["plan=staged", "stages.purify.gpus=0.9"]),
        # Two purifiers take both GPUs, and the classifier waits for ever.
        (2.0, ["plan=staged", "stages.purify={actors: 2, gpus: 1}"]),
    ],
)
def test_a_plan_that_waits_for_gpus_is_refused(
    run_of: Callable[..., Run], gpus: float, settings: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"needs .* GPUs.*; the cluster has"):
        allot(run_of(*settings), cluster_of((8.0,), gpus=gpus), DIGIT)


def test_surplus_actors_of_the_only_gpu_stage_may_wait(
    run_of: Callable[..., Run],
) -> None:
    (stage,) = allot(
        run_of("stages.fused.actors=3"), cluster_of((8.0,), gpus=2.0), DIGIT
    ).values()

    assert stage.actors == 3


@pytest.mark.parametrize("cores", [2.0, 7.0, 16.0])
def test_the_threads_of_all_actors_fit_the_machine(
    run_of: Callable[..., Run], cores: float
) -> None:
    for plan in ("fused", "staged"):
        for stage in allot(
            run_of(f"plan={plan}"), cluster_of((cores,)), DIGIT
        ).values():
            assert stage.num_threads is not None
            assert 1 <= stage.actors * stage.num_threads <= max(cores, stage.actors)
