"""The two plans as Ray Data pipelines: the only place that builds datasets of votes."""

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, Dataset, Datasink
from ray.data.block import Block, BlockAccessor

from infra.object_store import open_store
from pipelines.allotment import Allotment
from pipelines.decode import DecodeUnits
from pipelines.ledger import VOTES, commit
from pipelines.recipe import Run
from pipelines.stages import CountStage, FusedStage, OpStage, SplitUnits, ops_of
from pipelines.units import Unit
from pipelines.worker import WorkerSettings

# Ray's types do not know of instances that can be called, hence the Any below.


class VoteSink(Datasink[None]):
    """Commits every block of rows as one file of the ledger.

    A task that Ray repeats commits the same names again, which changes nothing.
    """

    def __init__(self, out: str, metadata: Mapping[str, str]) -> None:
        self._out = out
        self._metadata = dict(metadata)

    def write(self, blocks: Iterable[Block], ctx: Any) -> None:
        """Commit the blocks of one task."""
        store = open_store(self._out)
        for block in blocks:
            votes = BlockAccessor.for_block(block).to_arrow()
            if len(votes):
                commit(store, votes, self._metadata)


@dataclass(frozen=True)
class Work:
    """Units of one run and where their votes go."""

    run: Run
    units: Sequence[Unit]
    out: str
    metadata: Mapping[str, str]


def cast_votes(work: Work, stages: Mapping[str, Allotment]) -> None:
    """Work off all units and commit their votes; returns when all are written.

    Args:
        work: units, run and OUT.
        stages: what each stage gets, from :func:`pipelines.allotment.allot`.
    """
    votes = PLANS[work.run.plan](_decoded(work), work.run, stages)
    votes.write_datasink(VoteSink(work.out, work.metadata))


def votes_again(work: Work, stages: Mapping[str, Allotment]) -> pa.Table:
    """Work off all units and return their votes, which are not committed.

    Args:
        work: units, run and OUT.
        stages: what each stage gets, from :func:`pipelines.allotment.allot`.
    """
    votes = PLANS[work.run.plan](_decoded(work), work.run, stages)
    tables: Any = votes.iter_batches(batch_format="pyarrow", batch_size=None)
    return pa.concat_tables(table.cast(VOTES) for table in tables)


def _decoded(work: Work) -> Dataset:
    """Return decoded units, each a row in a block of its own."""
    rows = [{"unit": pickle.dumps(unit)} for unit in work.units]
    decode: Any = DecodeUnits(work.run.data.source, work.run, work.out, work.metadata)
    units = ray.data.from_items(rows, override_num_blocks=len(rows))
    return units.map_batches(decode, batch_size=1)


def _fused(units: Dataset, run: Run, stages: Mapping[str, Allotment]) -> Dataset:
    return _actor_stage(units, FusedStage, stages["fused"], run, {"run": run})


def _staged(units: Dataset, run: Run, stages: Mapping[str, Allotment]) -> Dataset:
    split: Any = SplitUnits(run)
    rows = units.map_batches(split, batch_size=1)
    for op, (name, allotment) in zip(ops_of(run), stages.items(), strict=True):
        stage = CountStage if name == "count_votes" else OpStage
        rows = _actor_stage(rows, stage, allotment, run, {"op": op})
    return rows


def _actor_stage(
    rows: Dataset,
    stage: type,
    allotment: Allotment,
    run: Run,
    described: Mapping[str, Any],
) -> Dataset:
    settings = WorkerSettings(
        precision=run.precision,
        batch=run.batch,
        compiled=run.compile,
        use_gpu=allotment.gpus > 0,
        num_threads=allotment.num_threads,
    )
    blocks = max(1, run.batch // run.sampling.block)
    return rows.map_batches(
        stage,
        fn_constructor_kwargs={**described, "settings": settings},
        batch_size=1 if stage is FusedStage else blocks,
        compute=ActorPoolStrategy(size=allotment.actors),
        num_gpus=allotment.gpus or None,
        num_cpus=allotment.cpus,
    )


PLANS: Mapping[str, Callable[[Dataset, Run, Mapping[str, Allotment]], Dataset]] = {
    "fused": _fused,
    "staged": _staged,
}
