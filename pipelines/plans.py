"""The two plans as Ray Data pipelines: the only place that builds datasets of votes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset, TaskPoolStrategy
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.allotment import Allotment
from pipelines.attempts import ToActor
from pipelines.decode import DecodeUnits
from pipelines.recipe import Run
from pipelines.stages import (
    CountStage,
    FusedStage,
    OpStage,
    SplitUnits,
    ops_of,
)
from pipelines.trace_stage import TraceStage
from pipelines.unit_tracker import UnitTracker
from pipelines.vote_sink import VoteSink, unpacked
from pipelines.work import Planning, Work
from pipelines.worker import worker_settings

UNITS_IN_HAND = 6
"""Units per actor that are planned and not committed: two in its hands, others near."""

# Ray's types do not know of instances that can be called, hence the Any below.


@contextmanager
def tracker(run: Run, *, limit: int, num_actors: int) -> Iterator[ToActor]:
    """Start the actor that knows what is under way; it ends with the body.

    Args:
        run: for how often an image may kill its worker.
        limit: votes in a unit at most.
        num_actors: actors of the largest stage.
    """
    room = UNITS_IN_HAND * num_actors * math.ceil(limit / run.sampling.block)
    slack = _blocks_that_wait(run, limit)
    here = ray.get_runtime_context().get_node_id()
    actor: Any = ray.remote(UnitTracker)
    handle = actor.options(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=True),
    ).remote(run.stages.attempts, room + slack, slack)
    try:
        yield ToActor(handle)
    finally:
        ray.kill(handle)


def cast_votes(
    work: Work, plannings: Sequence[Planning], stages: Mapping[str, Allotment]
) -> None:
    """Work off what is planned and commit its votes; returns when all are written.

    Args:
        work: run and OUT.
        plannings: executions, one after the other.
        stages: what each stage gets, from :func:`pipelines.allotment.allot`.
    """
    for planning in plannings:
        votes = _voted(work, planning, stages)
        votes.write_datasink(
            VoteSink(
                work.out,
                work.target,
                work.attempts("commit"),
                block=work.run.sampling.block,
                min_rows=_rows_per_write(work.run, work.limit),
            )
        )


def votes_again(
    work: Work, planning: Planning, stages: Mapping[str, Allotment]
) -> pa.Table:
    """Work off what is planned and return its votes, which are not committed.

    Args:
        work: run and OUT.
        planning: one execution.
        stages: what each stage gets, from :func:`pipelines.allotment.allot`.
    """
    votes = _voted(work, planning, stages)
    return pa.concat_tables(unpacked(row["votes"]) for row in votes.iter_rows())


def _voted(work: Work, planning: Planning, stages: Mapping[str, Allotment]) -> Dataset:
    data = work.run.data
    decode: Any = DecodeUnits(data.source, data.preprocess, work.aside("decode"))
    rows = list(planning.rows)
    listed = ray.data.from_items(rows, override_num_blocks=len(rows))
    listed.context.target_max_block_size = 1  # every row a block of its own
    # The gate bounds what is under way. Ray's own budgets would starve a stage: they
    # are waived only while no task runs at all, and the one that plans always does.
    listed.context.op_resource_reservation_enabled = False
    listed.context.execution_no_progress_timeout_s = work.run.ray.no_progress_seconds
    units = listed.map_batches(
        planning.expand, batch_size=1, compute=TaskPoolStrategy(size=1), num_cpus=0
    )
    return PLANS[work.plan](units.map_batches(decode, batch_size=1), work, stages)


def _fused(units: Dataset, work: Work, stages: Mapping[str, Allotment]) -> Dataset:
    described = {"run": work.run, "aside": work.aside("fused")}
    return _actor_stage(units, FusedStage, stages["fused"], work.run, described)


def _traced(units: Dataset, work: Work, stages: Mapping[str, Allotment]) -> Dataset:
    described = {"run": work.run, "aside": work.aside("traced")}
    return _actor_stage(units, TraceStage, stages["fused"], work.run, described)


def _staged(units: Dataset, work: Work, stages: Mapping[str, Allotment]) -> Dataset:
    split: Any = SplitUnits(work.run)
    rows = units.map_batches(split, batch_size=1)
    for op, (name, allotment) in zip(ops_of(work.run), stages.items(), strict=True):
        stage = CountStage if name == "count_votes" else OpStage
        described = {"op": op, "aside": work.aside(name)}
        rows = _actor_stage(rows, stage, allotment, work.run, described)
    return rows


def _actor_stage(
    rows: Dataset,
    stage: type,
    allotment: Allotment,
    run: Run,
    described: Mapping[str, Any],
) -> Dataset:
    settings = worker_settings(run, allotment)
    return rows.map_batches(
        stage,
        fn_constructor_kwargs={**described, "settings": settings},
        batch_size=1 if issubclass(stage, FusedStage) else _blocks_per_call(run),
        compute=ActorPoolStrategy(size=allotment.actors),
        num_gpus=allotment.gpus or None,
        num_cpus=allotment.cpus,
    )


def _blocks_per_call(run: Run) -> int:
    return max(1, run.batch // run.sampling.block)


def _rows_per_write(run: Run, limit: int) -> int:
    """Return how many rows make a unit's votes: one, or one per call of a stage.

    Under the sequential rule no row waits for others, as its image waits for it.
    """
    if run.plan == "fused" or run.rule.kind == "sequential":
        return 1
    return max(1, limit // run.sampling.block // _blocks_per_call(run))


def _blocks_that_wait(run: Run, limit: int) -> int:
    """Return how many blocks may wait for others: before stages, and before a write."""
    if run.plan == "fused":
        return 0
    call = _blocks_per_call(run)
    return len(ops_of(run)) * (call - 1) + call * _rows_per_write(run, limit)


PLANS: Mapping[str, Callable[[Dataset, Work, Mapping[str, Allotment]], Dataset]] = {
    "fused": _fused,
    "staged": _staged,
    "traced": _traced,
}
