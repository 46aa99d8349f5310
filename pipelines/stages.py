"""The four ops as stages: callables that Ray Data runs, which know nothing of Ray."""

import pickle
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch

from ops.columns import Batch, Op
from ops.purify.purify import Purify
from ops.vote.add_noise import AddNoise
from ops.vote.count_votes import CountVotes
from ops.vote.local_smooth import LocalSmooth
from ops.vote.streams import CLEAN
from pipelines.attempts import call_name
from pipelines.calls import calls
from pipelines.decode import Decoded
from pipelines.ledger import VOTES
from pipelines.recipe import Run
from pipelines.set_aside import CARRIED, SetAside
from pipelines.sparse import sparse
from pipelines.units import Unit
from pipelines.vote_sink import packed
from pipelines.worker import WorkerSettings

_KEY = ("image_key", "stream", "block")


def ops_of(run: Run) -> tuple[AddNoise, Purify, LocalSmooth, CountVotes]:
    """Return the four ops of a run, in the order a copy meets them."""
    return (
        AddNoise(
            sigma=run.sigma,
            seed=run.seed,
            block=run.sampling.block,
            noise=run.noise,
        ),
        Purify(purifier=run.purifier, sigma=run.sigma, seed=run.seed),
        LocalSmooth(
            classifier=run.classifier,
            local=run.local,
            sigma=run.sigma,
            seed=run.seed,
            samples=run.purifier.samples_per_copy,
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

    schema: ClassVar[pa.Schema] = VOTES
    """Of the rows it makes."""

    def __init__(self, run: Run, settings: WorkerSettings, aside: SetAside) -> None:
        worker = settings.open()
        self._run, self._aside = run, aside
        self._device = worker.device
        self._conditions = settings.conditions()
        self._functions = [op.open(worker) for op in self._ops()]

    def _ops(self) -> Sequence[Op]:
        return ops_of(self._run)

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[bytes]]]:
        """Yield the votes of each unit as one row."""
        for payload in batch["unit"]:
            yield {"votes": [packed(self.votes(pickle.loads(payload)))]}

    def votes(self, decoded: Decoded) -> pa.Table:
        """Return the votes of one unit, but of the images that are set aside.

        Args:
            decoded: as :class:`pipelines.decode.DecodeUnits` returns it.
        """
        unit, images, digests = decoded
        tables = self._aside.attempts.survived(
            f"fused/{unit.name}",
            list(images),
            lambda keys: self._cast((_part_of(unit, keys), images, digests)),
            lambda condemned: self._aside.condemned(unit, condemned),
        )
        return pa.concat_tables([self.schema.empty_table(), *tables])

    def _cast(self, decoded: Decoded) -> pa.Table:
        tables = [self._counted(columns) for columns in calls(decoded, self._run)]
        return pa.concat_tables([self.schema.empty_table(), *tables])

    def _counted(self, columns: Batch) -> pa.Table:
        began = time.perf_counter()
        for function in self._functions:
            columns = run_op(function, columns)
        counted = {**columns}
        for name in ("counts", "invalid"):
            counted[name] = columns[name].cpu().numpy()
        return vote_table(counted, time.perf_counter() - began, self._conditions)


def _part_of(unit: Unit, keys: Collection[str]) -> Unit:
    return Unit(tuple(job for job in unit.jobs if job.entry.key in keys))


class SplitUnits:
    """The staged plan's first stage: decoded units to rows, one block each."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the blocks' rows, with no time spent yet."""
        for payload in batch["unit"]:
            for columns in calls(pickle.loads(payload), self._run):
                rows = len(columns["block"])
                yield {**columns, "seconds": np.zeros(rows)}


class OpStage:
    """One op in an actor of its own: columns in, columns out, as arrays."""

    def __init__(self, op: Op, settings: WorkerSettings, aside: SetAside) -> None:
        worker = settings.open()
        self._op, self._aside = op, aside
        self._device = worker.device
        self._function = op.open(worker)
        self._conditions = settings.conditions()

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows with what the op writes, without what only it read."""
        for parts in self._survived(batch):
            yield _joined(parts)

    def _survived(self, batch: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        """Yield what the op makes of the rows whose images do not kill its worker."""
        rows = list(zip(*(batch[name] for name in _KEY), strict=True))

        def apply(keys: Collection[str]) -> list[dict[str, Any]]:
            wanted = [row for row, key in enumerate(rows) if key[0] in keys]
            return [self._apply(part) for part in _stackable(batch, wanted)]

        def set_aside(condemned: Mapping[str, str]) -> None:
            for key, reason in condemned.items():
                own = [row for row, one in enumerate(rows) if one[0] == key]
                carried = [{n: _plain(batch[n][row]) for n in CARRIED} for row in own]
                self._aside.blocks(carried, f"Image {key!r} was set aside: {reason}.")

        name = f"{self._aside.attempts.stage}/{call_name(rows)}"
        keys = list(dict.fromkeys(str(key) for key, _, _ in rows))
        yield from self._aside.attempts.survived(name, keys, apply, set_aside)

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

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the counted blocks, as one row."""
        for parts in self._survived(batch):
            tables = [self._table(counted) for counted in parts]
            yield {"votes": [packed(pa.concat_tables(tables))]}

    def _table(self, counted: dict[str, Any]) -> pa.Table:
        table = vote_table(counted, 0.0, self._conditions)
        index = table.schema.get_field_index("seconds")
        seconds = pa.array(counted["seconds"], pa.float64())
        return table.set_column(index, "seconds", seconds)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _stackable(
    batch: Mapping[str, Any], rows: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Yield some rows of a batch in runs whose tensors stack."""
    names = list(batch)

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
