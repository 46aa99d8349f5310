"""The four ops as stages: callables that Ray Data runs, which know nothing of Ray."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ops.columns import Batch, Op
from ops.purify.purify import Purify
from ops.vote.add_noise import CLEAN, AddNoise
from ops.vote.count_votes import CountVotes
from ops.vote.local_smooth import LocalSmooth
from pipelines.decode import CARRIED, calls
from pipelines.ledger import VOTES
from pipelines.recipe import Run
from pipelines.sparse import sparse
from pipelines.worker import WorkerSettings


def ops_of(run: Run) -> tuple[AddNoise, Purify, LocalSmooth, CountVotes]:
    """Return the four ops of a run, in the order a copy meets them."""
    return (
        AddNoise(sigma=run.sigma, seed=run.seed, block=run.sampling.block),
        Purify(purifier=run.purifier, sigma=run.sigma),
        LocalSmooth(
            classifier=run.classifier, local=run.local, sigma=run.sigma, seed=run.seed
        ),
        CountVotes(num_classes=run.classifier.num_classes),
    )


def run_op(function: Callable[[Batch], Batch], columns: Batch) -> dict[str, Any]:
    """Apply an opened op and join what it writes to what was there."""
    with torch.inference_mode():
        return {**columns, **function(columns)}


def vote_table(columns: Batch, seconds: float, conditions: str) -> pa.Table:
    """Return counted blocks as rows of the ledger.

    Args:
        columns: the carried columns, ``counts`` and ``invalid``.
        seconds: device time of all rows, shared out by their copies.
        conditions: of :meth:`WorkerSettings.conditions`.
    """
    counts, invalid = np.asarray(columns["counts"]), np.asarray(columns["invalid"])
    copies = counts.sum(axis=1) + invalid
    rows = pa.table({name: pa.array(columns[name]) for name in CARRIED})
    rows = rows.append_column(
        "counts", pa.array(map(sparse, counts), VOTES.field("counts").type)
    )
    rows = rows.append_column("invalid", pa.array(invalid))
    rows = rows.append_column("seconds", pa.array(seconds * copies / copies.sum()))
    rows = rows.append_column("failure", pa.nulls(len(rows), pa.string()))
    rows = rows.append_column("conditions", pa.array([conditions] * len(rows)))
    return rows.select(VOTES.names).cast(VOTES)


class FusedStage:
    """All four ops in one actor: a decoded unit in, its counted blocks out."""

    def __init__(self, run: Run, settings: WorkerSettings) -> None:
        worker = settings.open()
        self._run = run
        self._device = worker.device
        self._conditions = settings.conditions()
        self._functions = [op.open(worker) for op in ops_of(run)]

    def __call__(self, batch: Mapping[str, Any]) -> pa.Table:
        """Return the votes of the units in the batch."""
        tables = [
            self._votes(columns)
            for payload in batch["unit"]
            for columns in calls(payload, self._run)
        ]
        return pa.concat_tables([VOTES.empty_table(), *tables])

    def _votes(self, columns: Batch) -> pa.Table:
        began = time.perf_counter()
        for function in self._functions:
            columns = run_op(function, columns)
        counted = {**columns}
        for name in ("counts", "invalid"):
            counted[name] = columns[name].cpu().numpy()
        return vote_table(counted, time.perf_counter() - began, self._conditions)


class SplitUnits:
    """The staged plan's first stage: decoded units to rows, one block each."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the blocks' rows, with no time spent yet."""
        for payload in batch["unit"]:
            for columns in calls(payload, self._run):
                rows = len(columns["block"])
                yield {**columns, "seconds": np.zeros(rows)}


class OpStage:
    """One op in an actor of its own: columns in, columns out, as arrays."""

    def __init__(self, op: Op, settings: WorkerSettings) -> None:
        worker = settings.open()
        self._op = op
        self._device = worker.device
        self._function = op.open(worker)
        self._conditions = settings.conditions()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any] | pa.Table:
        """Return the rows with what the op writes, without what only it read."""
        parts = [self._apply(part) for part in _stackable(batch)]
        return _joined(parts)

    def _apply(self, columns: dict[str, Any]) -> dict[str, Any]:
        began = time.perf_counter()
        tensors = {
            name: torch.tensor(column).to(self._device) if column.ndim > 1 else column
            for name, column in columns.items()
        }
        with torch.inference_mode():
            written = self._function(tensors)
        arrays = {name: tensor.cpu().numpy() for name, tensor in written.items()}
        kept = {
            name: column
            for name, column in columns.items()
            if name in CARRIED or name == "seconds"
        }
        spent = (time.perf_counter() - began) / len(columns["block"])
        return {**kept, **arrays, "seconds": columns["seconds"] + spent}


class CountStage(OpStage):
    """The last stage of the staged plan: votes to rows of the ledger."""

    def __call__(self, batch: Mapping[str, Any]) -> pa.Table:
        """Return the counted blocks."""
        tables = []
        for part in _stackable(batch):
            counted = self._apply(part)
            table = vote_table(counted, 0.0, self._conditions)
            index = table.schema.get_field_index("seconds")
            seconds = pa.array(counted["seconds"], pa.float64())
            tables.append(table.set_column(index, "seconds", seconds))
        return pa.concat_tables([VOTES.empty_table(), *tables])


def _stackable(batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a batch in runs whose tensors stack."""
    names = list(batch)
    rows = range(len(batch["block"]))

    def shapes(row: int) -> tuple[Any, ...]:
        own = tuple(np.shape(batch[name][row]) for name in names)
        return (batch["stream"][row] == CLEAN, *own)

    for _, group in groupby(rows, shapes):
        index = list(group)
        yield {name: np.stack([batch[name][row] for row in index]) for name in names}


def _joined(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return parts as one batch; columns of unlike rows become arrays of arrays."""
    listed = list(parts)
    return {
        name: _column([row for part in listed for row in part[name]])
        for name in listed[0]
    }


def _column(rows: Sequence[Any]) -> np.ndarray:
    if len({np.shape(row) for row in rows}) == 1:
        return np.stack(rows)
    column = np.empty(len(rows), dtype=object)
    column[:] = rows
    return column
