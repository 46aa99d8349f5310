"""Merge the many small vote files of an OUT into few, while others read and write.

A merged file is written whole before the files it stands for are removed, and readers
pass over a file as soon as one that stands for it can be seen. So no reader meets a
block twice or not at all, and a merge that stops anywhere is finished by the next.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from infra.object_store import Store, open_store
from infra.tables import from_bytes
from pipelines.canonical import canonical
from pipelines.duplicates import differ, found_again
from pipelines.in_order import in_order
from pipelines.ledger import (
    VOTES,
    is_merged,
    merged_from,
    stored_sigmas,
    vote_files,
)
from pipelines.ledger_index import LedgerIndex
from pipelines.merge import SmallFile, merge, remove_all
from pipelines.vote_rows import distinct, opened

logger = logging.getLogger(__name__)

BLOCKS_IN_FILE = 200_000
"""Blocks of a merged file, about; a merge holds two to three times as many."""

_READERS = 4


@dataclass(frozen=True)
class Compacted:
    """What merging did to the vote files of one sigma."""

    sigma: float
    """Std of the certified noise, in [0, 1] pixels."""

    files_before: int
    files_after: int

    num_blocks: int
    """Different blocks of the sigma."""

    bytes_before: int
    """Of the files that were merged."""

    bytes_after: int
    """Of the files they were merged into."""

    seconds: float


def compact(uri: str, *, blocks_in_file: int = BLOCKS_IN_FILE) -> list[Compacted]:
    """Merge the small vote files of each sigma; the votes stay what they are.

    Args:
        uri: OUT of a run, which may go on meanwhile.
        blocks_in_file: blocks of a merged file, about, at least 2; a file of half as
            many is not small.

    Returns:
        What it did, by sigma.

    Raises:
        ValueError: OUT holds no votes, or a file of them is broken.
    """
    store = open_store(uri)
    sigmas = stored_sigmas(store)
    if not sigmas:
        raise ValueError(
            f"compact needs an OUT of diffsmooth certify; {store.url} has no votes. "
            f"Check the path, or run diffsmooth certify there."
        )
    return [_compact_sigma(store, sigma, blocks_in_file) for sigma in sigmas]


def _compact_sigma(store: Store, sigma: float, blocks_in_file: int) -> Compacted:
    began, before = time.monotonic(), vote_files(store, sigma)
    _remove_merged(store, before)
    index = LedgerIndex(store, sigma)
    parts = _parts(store, _by_first_image(index), blocks_in_file)
    sizes = [merge(store, index, part) for part in parts if len(part) > 1]
    return Compacted(
        sigma,
        files_before=len(before),
        files_after=len(vote_files(store, sigma)),
        num_blocks=sum(index.num_blocks().values()),
        bytes_before=sum(size for size, _ in sizes),
        bytes_after=sum(size for _, size in sizes),
        seconds=time.monotonic() - began,
    )


def _remove_merged(store: Store, listed: Sequence[str]) -> None:
    """Remove files that were merged and are there still, or were written again."""
    there = set(listed)
    for name in filter(is_merged, listed):
        left = _left_by(store, name, there)
        if left:
            logger.info("%s stands for %d files left, removed.", name, len(left))
            remove_all(store, left)
            there -= left


def _left_by(store: Store, name: str, there: set[str]) -> set[str]:
    """Return what is there still of the files for which a whole file stands."""
    with suppress(FileNotFoundError):  # it was merged itself
        with opened(store, name) as (_, facts):
            left = there & set(merged_from(facts))
        if left:
            merged, _ = from_bytes(store.read(name), f"{store.url}/{name}")
            _tell_others(store, merged, left)
        return left
    return set()


def _tell_others(store: Store, merged: pa.Table, left: Iterable[str]) -> None:
    """Say which files were written again with other votes than were merged."""
    for name in sorted(left):
        with suppress(FileNotFoundError):
            late, _ = from_bytes(store.read(name), f"{store.url}/{name}")
            rows = pa.concat_tables([merged, late.select(VOTES.names)])
            again, first = found_again(rows)
            num = int(differ(rows, again, first).sum())
            if num:
                told = "%d blocks of %s were voted again, otherwise; the merged count."
                logger.warning(told, num, name)


def _by_first_image(index: LedgerIndex) -> list[str]:
    """Return the files in the order of the first image they hold."""
    return list(
        dict.fromkeys(n for own in index.files_of(sorted(index.codes)) for n in own)
    )


def _parts(
    store: Store, names: Sequence[str], blocks_in_file: int
) -> Iterator[list[SmallFile]]:
    """Yield small files of the same facts that make one file together."""
    pending: dict[str, list[SmallFile]] = defaultdict(list)
    num_blocks: dict[str, int] = defaultdict(int)
    read = partial(_read_small, store, most=blocks_in_file // 2)
    for file in filter(None, in_order(read, names, _READERS)):
        alike = canonical(*distinct([file.facts]))
        pending[alike].append(file)
        num_blocks[alike] += len(file.rows)
        if sum(num_blocks.values()) >= blocks_in_file:
            largest = max(num_blocks, key=num_blocks.__getitem__)
            del num_blocks[largest]
            yield pending.pop(largest)
    yield from pending.values()


def _read_small(store: Store, name: str, *, most: int) -> SmallFile | None:
    """Return a file, unless it was merged already into one that is large."""
    try:
        if is_merged(name):
            with opened(store, name) as (file, _):
                if file.metadata.num_rows >= most:
                    return None
        data = store.read(name)
    except FileNotFoundError:
        return None  # another compact merged it since it was listed
    rows, facts = from_bytes(data, f"{store.url}/{name}")
    return SmallFile(name, rows, facts, len(data))
