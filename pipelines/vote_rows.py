"""Reading votes: the rows of some files, each block once."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import ParquetFile, Statistics

from infra.object_store import Store
from infra.tables import facts_of, from_bytes
from pipelines.canonical import canonical
from pipelines.duplicates import differ, found_again
from pipelines.in_order import in_order
from pipelines.ledger import (
    VOTES,
    is_merged,
    merged_from,
    parquet_files,
    precedence,
    vote_files,
)
from pipelines.units import BlockKey

_KEY = ["image_key", "stream", "block"]

_READERS = 8
_LISTINGS = 20
"""Times the files are listed anew while others merge them."""


@dataclass(frozen=True)
class Votes:
    """The votes that some files hold, each block once."""

    rows: pa.Table
    """Of :data:`VOTES`, and ``file``, the name each was read from."""

    metadata: tuple[dict[str, str], ...]
    """Different facts of the files, in order of their names."""

    num_differing: int
    """Blocks found more than once with different votes; the first is kept."""

    def done(self) -> set[BlockKey]:
        """Return the keys of the blocks that are there."""
        columns = (self.rows[name].to_pylist() for name in _KEY)
        return set(zip(*columns, strict=True))


def read_votes(
    store: Store,
    names: Iterable[str],
    keys: Collection[str] | None = None,
    *,
    schema: pa.Schema = VOTES,
) -> Votes:
    """Read the votes that some files hold.

    A file that was merged into another since it was listed is read there.

    Args:
        store: of OUT.
        names: of vote files, in the order they count.
        keys: of the images wanted; ``None`` for all.
        schema: columns of the rows: :data:`VOTES`, or that with more.

    Returns:
        Each block once: of several, the one in the first file, a rule that does not
        look at the votes.

    Raises:
        ValueError: a file cannot be read.
        FileNotFoundError: a file is gone, and no other stands for it.
    """
    wanted = None if keys is None else sorted(keys)
    read = partial(_read, store, wanted=wanted, schema=schema)
    standing, gone = list(names), None
    for _ in range(_LISTINGS):
        try:
            return _joined(list(in_order(read, standing, _READERS)), schema)
        except FileNotFoundError as error:
            gone, standing = error, _standing_for(store, standing)
    raise FileNotFoundError(
        f"A ledger needs its vote files; of {store.url} one is gone ({gone}), and no "
        f"merged file stands for it. Put it back, or run again."
    )


def read_all_votes(store: Store, sigma: float) -> Votes:
    """Read all visible votes of one sigma at once; for few, as they fill memory.

    Args:
        store: of OUT.
        sigma: std of the certified noise, in [0, 1] pixels.
    """
    return read_votes(store, vote_files(store, sigma))


def distinct(metadata: Iterable[Mapping[str, str]]) -> tuple[dict[str, str], ...]:
    """Return the different facts of vote files, apart from what was merged.

    Args:
        metadata: facts of each file.
    """
    common = [
        {k: v for k, v in facts.items() if not k.startswith("merged_")}
        for facts in metadata
    ]
    return tuple({canonical(facts): facts for facts in common}.values())


@contextmanager
def opened(store: Store, name: str) -> Iterator[tuple[ParquetFile, dict[str, str]]]:
    """Open a merged vote file, of which a reader may take some parts.

    Args:
        store: of OUT.
        name: of the file.

    Yields:
        The file, and its facts.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, or is of a schema this version does not know.
    """
    url = f"{store.url}/{name}"
    try:
        with store.open_parquet(name) as file:
            yield file, facts_of(file.schema_arrow, url)
    except (FileNotFoundError, ConnectionError, PermissionError):
        raise
    except (pa.ArrowInvalid, OSError) as error:
        if not store.exists(name):
            raise FileNotFoundError(url) from error
        raise ValueError(
            f"A ledger needs vote files it can read; {url} has {error}. If the storage "
            f"is well, put a copy of the file back, or delete it and run again: the "
            f"votes it held are cast anew."
        ) from error


def _read(
    store: Store, name: str, *, wanted: Sequence[str] | None, schema: pa.Schema
) -> tuple[pa.Table, dict[str, str]]:
    """Return a file's rows of the images wanted, and its facts."""
    if is_merged(name):
        with opened(store, name) as (file, facts):
            table = file.read_row_groups(_groups_with(file, wanted))
    else:
        table, facts = from_bytes(store.read(name), f"{store.url}/{name}")
    if wanted is not None:
        keys = pa.array(wanted, pa.string())
        table = table.filter(pc.is_in(table["image_key"], keys))
    file_column = pa.array([name] * len(table), pa.string())
    return table.select(schema.names).append_column("file", file_column), facts


def _groups_with(file: ParquetFile, wanted: Sequence[str] | None) -> list[int]:
    """Return the row groups of a sorted file that may hold some images."""
    groups = range(file.num_row_groups)
    if wanted is None:
        return list(groups)
    column = file.schema.names.index("image_key")
    ranges = [file.metadata.row_group(g).column(column).statistics for g in groups]
    return [g for g in groups if _may_hold(ranges[g], wanted)]


def _may_hold(extremes: Statistics | None, wanted: Sequence[str]) -> bool:
    if extremes is None or not extremes.has_min_max:
        return True
    return bisect_left(wanted, extremes.min) < bisect_right(wanted, extremes.max)


def _joined(
    parts: Sequence[tuple[pa.Table, dict[str, str]]], schema: pa.Schema
) -> Votes:
    empty = schema.append(pa.field("file", pa.string())).empty_table()
    rows = pa.concat_tables([empty, *(table for table, _ in parts)])
    once, num_differing = _each_once(rows)
    return Votes(once, distinct(facts for _, facts in parts), num_differing)


def _standing_for(store: Store, names: Sequence[str]) -> list[str]:
    """Return the files that hold now what some files held when they were listed."""
    folders = {name.rpartition("/")[0] for name in names}
    listed = {name for folder in folders for name in parquet_files(store, folder)}
    gone = set(names) - listed
    held = {name: _stands_for(store, name) for name in listed if is_merged(name)}
    needed = {name for name, others in held.items() if gone & others}
    covered = set().union(*(held[name] for name in needed))
    return sorted((set(names) - covered) | (needed - covered), key=precedence)


def _stands_for(store: Store, name: str) -> set[str]:
    """Return the files a merged file stands for; none if it is gone by now."""
    try:
        with opened(store, name) as (_, facts):
            return set(merged_from(facts))
    except FileNotFoundError:
        return set()


def _each_once(rows: pa.Table) -> tuple[pa.Table, int]:
    """Drop all but the first of each block; count those that differ from it."""
    again, first = found_again(rows)
    if not len(again):
        return rows, 0
    kept = np.ones(len(rows), bool)
    kept[again] = False
    return rows.filter(pa.array(kept)), int(differ(rows, again, first).sum())
