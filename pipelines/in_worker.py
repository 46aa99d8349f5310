"""Trying a few images where votes would be cast: in a worker like an actor."""

from collections.abc import Callable
from typing import Any, TypeVar

import ray
from ray.exceptions import RayTaskError

from infra import cluster
from pipelines.allotment import Allotment, allot
from pipelines.recipe import Run
from pipelines.sample import Sample
from pipelines.worker import worker_settings

Found = TypeVar("Found")


def fused_stage(run: Run, sample: Sample) -> Allotment:
    """Return what the one stage of the fused plan gets, which holds all networks.

    Args:
        run: whatever its plan.
        sample: of its images.

    Raises:
        ValueError: the cluster is too small.
    """
    fused = run.model_copy(update={"plan": "fused"})
    return allot(fused, cluster.capacity(), sample.images[0].shape)["fused"]


def in_worker(
    function: Callable[..., Found],
    run: Run,
    sample: Sample,
    *words: Any,
    asked_by: str,
) -> Found:
    """Call a function of a run, a sample and a worker's settings in such a worker.

    Args:
        function: called as ``function(run, sample, settings, *words)``.
        run: with weights resolved.
        sample: at least one image.
        words: more for the function.
        asked_by: verb, for the error.

    Raises:
        ValueError: the networks do not take the images.
    """
    stage = fused_stage(run, sample)
    settings = worker_settings(run, stage)
    remote: Any = ray.remote(function)
    placed = remote.options(num_gpus=stage.gpus, num_cpus=stage.cpus, max_retries=0)
    try:
        return ray.get(placed.remote(run, sample, settings, *words))
    except RayTaskError as error:
        if not isinstance(error.cause, RuntimeError):
            raise error.cause from error
        first_line = str(error.cause).partition("\n")[0]
        raise ValueError(
            f"{asked_by} needs images that the networks take; {sample.keys[0]!r} of "
            f"channel x height x width {sample.images[0].shape} gives: {first_line}. "
            f"Check data.preprocess and batch, and the settings of purifier and "
            f"classifier."
        ) from error
