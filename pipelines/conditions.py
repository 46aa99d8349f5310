"""Votes made under another batch shape, compile mode or device, beside ours.

Kernels then differ in the last bits, and a vote that is nearly a tie may flip. Such
votes may be mixed, because each is a vote of the same classifier up to rounding; but it
is said, with the share that flips, and ``strict: true`` refuses it.
"""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import json
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store
from infra.sources.entry import Entry
from pipelines.index import Index
from pipelines.ledger import VOTES, precedence
from pipelines.ledger_index import LedgerIndex
from pipelines.recipe import Run
from pipelines.units import BlockKey, Job, Unit
from pipelines.vote_rows import read_votes
from pipelines.worker import library_versions

_KEY = ("image_key", "stream", "block")

BLOCKS_TRIED_AGAIN = 10
"""Stored blocks that are voted again to measure how many votes flip."""

_MOST_READS = 50
"""Times votes are read at most in search of those blocks."""


def other_conditions(index: Index, run: Run, *, use_gpu: bool) -> list[str]:
    """Return the conditions of stored votes that the run would not have now.

    Args:
        index: of the votes that exist.
        run: that would continue them.
        use_gpu: whether its networks get an accelerator; which one, workers know.
    """
    ours = {"batch": run.batch, "compile": run.compile, **library_versions()}

    def differs(stored: dict) -> bool:
        on_gpu = stored.get("device") != "cpu"
        return on_gpu != use_gpu or not ours.items() <= stored.items()

    return [c for c in stored_conditions(index) if differs(json.loads(c))]


def stored_conditions(index: Index) -> list[str]:
    """Return the different conditions of a sigma's votes, sorted."""
    return sorted(index.conditions)


def refuse_if_strict(others: Sequence[str], run: Run, where: str) -> None:
    """Refuse to mix votes of different conditions where a run forbids it.

    Args:
        others: from :func:`other_conditions`.
        run: that would continue the votes.
        where: OUT, for the error.

    Raises:
        ValueError: the run is strict and votes were made under other conditions.
    """
    if run.strict and others:
        raise ValueError(
            f"certify needs votes of one batch shape, compile mode, device and "
            f"libraries under strict: true; {where} has votes made under "
            f"{', '.join(others)}, now it is batch {run.batch}, compile "
            f"{run.compile}. Set them back, or strict: false."
        )


def refuse_mixture_if_strict(index: LedgerIndex, run: Run, where: str) -> None:
    """Refuse to certify from votes of several conditions where a run forbids it.

    Args:
        index: of all votes of the run's sigma.
        run: that would certify.
        where: OUT, for the error.

    Raises:
        ValueError: the run is strict and the votes are mixed.
    """
    stored = stored_conditions(index)
    if run.strict and len(stored) > 1:
        raise ValueError(
            f"A strict run needs votes of one device, batch shape, compile mode and "
            f"libraries; {where} has {', '.join(stored)} at sigma {run.sigma:g}. Take "
            f"another --out, or strict: false."
        )


def unit_to_try_again(
    store: Store, index: LedgerIndex, others: Sequence[str], entries: Sequence[Entry]
) -> Unit | None:
    """Return some stored blocks of other conditions, to be voted once more.

    Args:
        store: of OUT.
        index: of the votes that exist.
        others: from :func:`other_conditions`.
        entries: images asked for.

    Returns:
        ``None`` if all votes of these images were made under the run's conditions.
    """
    by_key = {entry.key: entry for entry in entries}
    held = _held_by_some(index, others, list(by_key))
    for keys in _spread_parts(list(held)):
        files = sorted({name for key in keys for name in held[key]}, key=precedence)
        rows = read_votes(store, files, keys).rows
        rows = rows.filter(pc.is_in(rows["conditions"], pa.array(others, pa.string())))
        rows = rows.take(pa.array(_spread(len(rows)), pa.int64()))
        columns = (rows[name].to_pylist() for name in _KEY)
        jobs = [Job(by_key[k], s, (b,)) for k, s, b in zip(*columns, strict=True)]
        if jobs:
            return Unit(tuple(jobs))
    return None


def _held_by_some(
    index: LedgerIndex, conditions: Sequence[str], keys: Sequence[str]
) -> dict[str, list[str]]:
    """Return the files of those images of which one is listed under conditions."""
    listed = {
        index.files[number] for one in conditions for number in index.conditions[one]
    }
    pairs = zip(keys, index.files_of(keys), strict=True)
    return {key: files for key, files in pairs if not listed.isdisjoint(files)}


def _spread_parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield all images in parts that reach from the first to the last of them."""
    parts = min(_MOST_READS, max(1, len(keys) // BLOCKS_TRIED_AGAIN))
    for part in range(parts):
        if keys[part::parts]:
            yield keys[part::parts]


def _spread(num_rows: int) -> range:
    """Return up to :data:`BLOCKS_TRIED_AGAIN` of some rows, at equal distances."""
    step = max(1, num_rows // BLOCKS_TRIED_AGAIN)
    return range(0, num_rows, step)[:BLOCKS_TRIED_AGAIN]


def share_of_flips(stored: pa.Table, again: pa.Table) -> float:
    """Return the share of votes that differ between two casts of the same blocks.

    Args:
        stored: ledger rows that include the blocks, each once.
        again: rows of the same blocks, voted under other conditions.

    Returns:
        At least this share flipped: half the sum of differences of the counts.
    """
    tried = pc.is_in(stored["image_key"], again["image_key"].combine_chunks())
    rows = stored.filter(tried).select(VOTES.names).to_pylist()
    before = {_key(row): row for row in rows}
    flips, votes = 0.0, 0
    for row in again.to_pylist():
        ours, theirs = _counts(row), _counts(before[_key(row)])
        classes = ours.keys() | theirs.keys()
        flips += sum(abs(ours.get(c, 0) - theirs.get(c, 0)) for c in classes) / 2
        votes += sum(ours.values())
    return flips / votes


def _key(row: Mapping) -> BlockKey:
    image_key, stream, block = (row[name] for name in _KEY)
    return image_key, stream, block


def _counts(row: Mapping) -> dict[int, int]:
    counts = {entry["class"]: entry["count"] for entry in row["counts"]}
    return {**counts, -1: row["invalid"]}
