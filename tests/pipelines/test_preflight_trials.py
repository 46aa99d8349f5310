"""Trials at once, each with a pass of its own, fit a cluster or are refused."""

from collections.abc import Callable

import pytest
from clusters_made import cluster_of, refused

from pipelines.allotment import allot
from pipelines.beside import Beside
from pipelines.recipe import Run

DIGIT = (1, 8, 8)


def test_trials_and_their_passes_leave_a_whole_core_or_are_refused(
    run_of: Callable[..., Run],
) -> None:
    two_cores, trial = cluster_of((2.0, 0.0)), 0.01

    def refusal(executions: int, *settings: str) -> str:
        beside = Beside(executions, executions * trial)
        return refused(lambda: allot(run_of(*settings), two_cores, DIGIT, beside))

    for executions in (1, 2, 4):  # left to themselves they take what is there
        stages = allot(run_of(), two_cores, DIGIT, Beside(executions, trial))
        taken = executions * stages["fused"].actors * stages["fused"].cpus
        assert taken + trial <= 1.0
    assert "4 trials at once take 1.64 of 2 cores" in refusal(
        4, "stages.fused={actors: 1, cpus: 0.4}"
    )
    assert "study.concurrent" in refusal(4, "stages.fused={actors: 1, cpus: 0.4}")
    assert refusal(2, "stages.fused={actors: 1, cpus: 0.4}") == ""
    # One actor of a whole core leaves another, of which a trial takes a part.
    assert "1 trial at once take 1.01" in refusal(
        1, "stages.fused={actors: 1, cpus: 1}"
    )


def test_passes_that_would_wait_for_each_others_accelerators_are_refused(
    run_of: Callable[..., Run],
) -> None:
    run, cluster = run_of("stages.fused={actors: 1, gpus: 1}"), cluster_of((8.0, 2.0))

    allot(run, cluster, DIGIT, Beside(2))
    with pytest.raises(ValueError, match=r"needs 3 GPUs .* or study\.concurrent"):
        allot(run, cluster, DIGIT, Beside(3))
