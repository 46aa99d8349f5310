"""Votes and certificates of one run, read off the traces of many."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store
from ops.vote.streams import num_copies
from pipelines.certificates import CERTIFICATES, certify_votes
from pipelines.families import TRACES, Family
from pipelines.ledger import COUNT, VOTES, precedence
from pipelines.reading import Reading
from pipelines.trace_ledger import TraceLedger
from pipelines.vote_rows import read_votes

_MOST_AT_ONCE = 500
_VOTES_AT_ONCE = 20_000_000
"""About how many traced votes are in memory at once."""

_KEY = ["image_key", "stream", "block"]


@dataclass(frozen=True)
class Held:
    """Where the votes of a run lie among the traces."""

    family: Family
    """What the run reads."""

    files: tuple[tuple[int, tuple[str, ...]], ...]
    """Names of files by the local noises that are traced in them, fewest first."""


def held(ledger: TraceLedger, family: Family, keys: Sequence[str]) -> Held:
    """Return where the votes of a run lie.

    Args:
        ledger: of the run's family, among others.
        family: what the run reads.
        keys: of the images wanted.
    """
    found = []
    for num, index in ledger.holding(family):
        names = {name for own in index.files_of(keys) for name in own}
        found.append((num, tuple(sorted(names, key=precedence))))
    return Held(family, tuple(found))


def certify_traced(
    store: Store, reading: Reading, where: Held, labels: Mapping[str, int]
) -> pa.Table:
    """Return the certificates of a run whose votes were traced.

    Args:
        store: of OUT.
        reading: of the run.
        where: its votes lie.
        labels: true class by image key, for the images wanted.

    Returns:
        Rows of :data:`pipelines.certificates.CERTIFICATES`, sorted by image key: those
        of a run that cast these votes alone, row for row.
    """
    keys, parts = sorted(labels), []
    traced = max((num for num, names in where.files if names), default=1)
    each = traced * max(1, reading.most_votes)
    at_once = min(_MOST_AT_ONCE, max(1, _VOTES_AT_ONCE // each))
    for start in range(0, len(keys), at_once):
        own = keys[start : start + at_once]
        votes = votes_held(store, reading, where, own)
        parts.append(certify_votes(votes, {key: labels[key] for key in own}, reading))
    return pa.concat_tables([CERTIFICATES.empty_table(), *parts])


def votes_held(
    store: Store, reading: Reading, where: Held, keys: Sequence[str]
) -> pa.Table:
    """Return the votes of a run as rows of its own ledger, each block once.

    Args:
        store: of OUT.
        reading: of the run.
        where: its votes lie.
        keys: of the images wanted, sorted.
    """
    run, num = reading.run, where.family.num
    parts = [
        _counted(rows, num, traced, run.classifier.num_classes)
        for traced, names in where.files
        for rows in _alike(_rows(store, where.family, names, keys), run.sampling.block)
    ]
    votes = pa.concat_tables([VOTES.empty_table(), *parts])
    order = pa.array(range(len(votes)))
    first = votes.append_column("order", order).group_by(_KEY)
    kept = first.aggregate([("order", "min")])["order_min"]
    return votes.take(kept.combine_chunks().sort())


def _rows(
    store: Store, family: Family, names: Sequence[str], keys: Sequence[str]
) -> pa.Table:
    """Return a family's own rows of some files."""
    rows = read_votes(store, names, keys, schema=TRACES).rows
    columns = (rows[name].to_pylist() for name in ("stream", "block"))
    own = [family.wants(*pair) for pair in zip(*columns, strict=True)]
    return rows.filter(pa.array(own, pa.bool_()))


def _alike(rows: pa.Table, block: int) -> Iterator[pa.Table]:
    """Yield rows in parts whose blocks have as many copies."""
    streams = pc.unique(rows["stream"]).to_pylist()
    for copies in {num_copies(stream, block) for stream in streams}:
        own = [s for s in streams if num_copies(s, block) == copies]
        yield rows.filter(pc.is_in(rows["stream"], pa.array(own, pa.string())))


def _counted(rows: pa.Table, num: int, traced: int, num_classes: int) -> pa.Table:
    """Return rows with the votes under ``num`` of the local noises that are traced."""
    flat = pc.list_flatten(rows["trace"].combine_chunks()).to_numpy()
    votes = flat.reshape(len(rows), traced, -1)[:, num - 1]
    counts = np.zeros((len(rows), num_classes + 1), np.int32)
    np.add.at(counts, (np.arange(len(rows))[:, None], votes + 1), 1)
    columns = {name: rows[name] for name in VOTES.names}
    columns |= {"counts": sparse_rows(counts[:, 1:]), "invalid": counts[:, 0]}
    return pa.table(columns).cast(VOTES)


def sparse_rows(counts: np.ndarray) -> pa.Array:
    """Return the classes that got votes, with their counts, for each row.

    Args:
        counts: int ``row class``.
    """
    rows, classes = np.nonzero(counts)
    ends = np.searchsorted(rows, np.arange(len(counts) + 1))
    arrays = [
        pa.array(classes.astype(np.int32)),
        pa.array(counts[rows, classes].astype(np.int32)),
    ]
    structs = pa.StructArray.from_arrays(arrays, fields=list(COUNT))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), structs)
