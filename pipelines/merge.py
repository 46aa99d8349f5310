"""Several vote files as one, which stands for them from the moment it can be seen."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store
from infra.tables import from_bytes, to_bytes
from pipelines.duplicates import differ, found_again
from pipelines.ledger import BY_KEY, MERGED, VOTES, merged_from, precedence
from pipelines.ledger_index import LedgerIndex
from pipelines.vote_rows import distinct, read_votes

logger = logging.getLogger(__name__)

_REMOVERS = 16


@dataclass(frozen=True)
class SmallFile:
    """A vote file that is to be merged."""

    name: str
    rows: pa.Table
    facts: dict[str, str]
    num_bytes: int


def merged_name(names: Iterable[str]) -> str:
    """Return the name of the file that stands for others, which follows from theirs.

    Args:
        names: of vote files of one sigma, at least one.
    """
    listed = sorted(names)
    digest = hashlib.blake2b(json.dumps(listed).encode(), digest_size=12).hexdigest()
    return f"{listed[0].rpartition('/')[0]}/{MERGED}{digest}.parquet"


def merge(
    store: Store, index: LedgerIndex, part: Sequence[SmallFile]
) -> tuple[int, int]:
    """Write some files as one, then remove them.

    Args:
        store: of OUT.
        index: of the votes that count, to know who else has a block.
        part: files of one sigma and the same facts.

    Returns:
        Bytes of the files, and of the one they became.

    Raises:
        OSError: what was written is read back otherwise; nothing was removed.
    """
    names = [file.name for file in part]
    rows, num_differing = _rows_that_count(store, index, part)
    num_differing += sum(int(f.facts.get("merged_differing", 0)) for f in part)
    stands_for = sorted({*names, *(n for f in part for n in merged_from(f.facts))})
    facts = {
        **distinct([part[0].facts])[0],
        "merged_from": json.dumps(stands_for),
        "merged_differing": str(num_differing),
    }
    merged, data = merged_name(stands_for), to_bytes(rows, facts)
    store.write_once(merged, data)
    _require_as_written(store, merged, rows)
    remove_all(store, names)
    logger.info("%s holds the %d blocks of %d files.", merged, len(rows), len(names))
    return sum(file.num_bytes for file in part), len(data)


def remove_all(store: Store, names: Iterable[str]) -> None:
    """Remove some files, several at once.

    Args:
        store: of OUT.
        names: of files that another stands for.
    """
    with ThreadPoolExecutor(_REMOVERS) as pool:
        list(pool.map(store.remove, names))


def _rows_that_count(
    store: Store, index: LedgerIndex, part: Sequence[SmallFile]
) -> tuple[pa.Table, int]:
    """Return the rows of a part by which its blocks count, and how many differ.

    A block that counts by a file outside the part is left to that file, so that the
    votes which count are the same before and after.
    """
    named = {f.name: f.rows.select(VOTES.names).cast(VOTES) for f in part}
    own = set(named)
    named |= _rivals(store, index, named)
    order = sorted(named, key=precedence)
    rows = pa.concat_tables([named[name] for name in order])
    ours = np.repeat([n in own for n in order], [len(named[n]) for n in order])
    again, first = found_again(rows)
    dropped = ours[again]
    num_differing = int(differ(rows, again[dropped], first[dropped]).sum())
    ours[again] = False
    return rows.filter(pa.array(ours)).sort_by(BY_KEY), num_differing


def _rivals(
    store: Store, index: LedgerIndex, named: dict[str, pa.Table]
) -> dict[str, pa.Table]:
    """Return what other files hold of the same images, by their names."""
    keys = sorted({key for rows in named.values() for key in _images(rows)})
    names = {name for own in index.files_of(keys) for name in own} - set(named)
    rows = read_votes(store, sorted(names, key=precedence), keys=keys).rows
    files = set(rows["file"].unique().to_pylist()) - set(named)
    return {
        name: rows.filter(pc.equal(rows["file"], name)).select(VOTES.names)
        for name in files
    }


def _images(rows: pa.Table) -> list[str]:
    return rows["image_key"].unique().to_pylist()


def _require_as_written(store: Store, name: str, rows: pa.Table) -> None:
    try:
        found, _ = from_bytes(store.read(name), f"{store.url}/{name}")
    except FileNotFoundError:
        return  # another compact merged it further, so that another stands for all
    if not found.equals(rows):
        raise OSError(
            f"compact needs a place that keeps what was written; {store.url}/{name} "
            f"has other votes than were merged. Let no other compact run meanwhile, "
            f"and run it again; no vote is lost."
        )
