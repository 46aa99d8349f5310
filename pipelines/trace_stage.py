"""The fused plan for traces: one purification, votes under many local smoothings."""

import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch

from ops.columns import Batch, Op
from ops.purify.purify import Purify
from ops.vote.add_noise import AddNoise
from ops.vote.count_votes import count_votes
from ops.vote.trace_votes import Head, TraceVotes
from pipelines.families import LEDGER, ON_THEIR_WAY, Family, TraceTarget
from pipelines.recipe import Run
from pipelines.set_aside import CARRIED, SetAside
from pipelines.sparse import sparse
from pipelines.stages import FusedStage, ops_of, run_op
from pipelines.worker import WorkerSettings


def trace_ops(
    run: Run, families: tuple[Family, ...]
) -> tuple[AddNoise, Purify, TraceVotes]:
    """Return the ops of a pass that traces, in the order a copy meets them.

    Args:
        run: for all but classifiers and local noises.
        families: whose votes are traced.
    """
    add_noise, purify, *_ = ops_of(run)
    heads = tuple(
        Head.model_validate({"classifier": one.classifier, "local": one.local})
        for one in families
    )
    trace = TraceVotes(
        heads=heads,
        sigma=run.sigma,
        seed=run.seed,
        samples=run.purifier.samples_per_copy,
    )
    return add_noise, purify, trace


class TraceStage(FusedStage):
    """Noise, purifier and many local smoothings in one actor."""

    schema: ClassVar[pa.Schema] = ON_THEIR_WAY

    def __init__(self, run: Run, settings: WorkerSettings, aside: SetAside) -> None:
        assert isinstance(aside.target, TraceTarget)  # who traces has such a target
        self._families = aside.target.families
        super().__init__(run, settings, aside)

    def _ops(self) -> Sequence[Op]:
        add_noise, purify, trace = trace_ops(self._run, self._families)
        self._heads = trace.heads
        return add_noise, purify, trace

    def _counted(self, columns: Batch) -> pa.Table:
        began = time.perf_counter()
        keys = list(zip(columns["stream"], columns["block"], strict=True))
        wanted = [[one.wants(*key) for one in self._families] for key in keys]
        columns = {**columns, "wanted": wanted}
        for function in self._functions:
            columns = run_op(function, columns)
        num_classes = [head.classifier.num_classes for head in self._heads]
        rows = [
            {
                **{name: _plain(columns[name][row]) for name in CARRIED},
                **_votes(votes.cpu(), num_classes[family]),
                "calls": columns["calls"][row][family],
                LEDGER: self._families[family].folder,
                "conditions": self._conditions,
            }
            for row, traces in enumerate(columns["traces"])
            for family, votes in traces.items()
        ]
        _share(time.perf_counter() - began, rows)
        return pa.Table.from_pylist(rows, ON_THEIR_WAY)


def _votes(votes: torch.Tensor, num_classes: int) -> dict[str, Any]:
    counts = count_votes(votes[-1:], num_classes=num_classes)[0].numpy()
    return {
        "counts": sparse(counts[1:]),
        "invalid": int(counts[0]),
        "trace": votes.flatten().tolist(),
    }


def _share(seconds: float, rows: Sequence[dict[str, Any]]) -> None:
    """Give each row its part of some device time, by its copies."""
    copies = [sum(e["count"] for e in r["counts"]) + r["invalid"] for r in rows]
    for row, own in zip(rows, copies, strict=True):
        row["seconds"] = seconds * own / sum(copies)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
