"""Many vote files on an S3 server: written, listed, indexed, merged, indexed again.

Run: ``python tests/bench/scale_objects.py [--objects N] [--write]``. The server is
OpenStack Swift on this machine (``tests/servers/swift.py``), which shares its cores.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measure import Row
from read_rate import served
from scale_ledger import indexed
from scale_process import cost
from scale_table import keep, load
from synthetic_ledger import BLOCKS_PER_IMAGE, Asked, asked_for, votes_of

from infra.object_store import open_store
from pipelines.compact import compact
from pipelines.ledger import commit, vote_files

WRITERS = 32


def write(asked: Asked, out: str) -> float:
    """Commit one file of votes for each image; returns the seconds it took."""
    store, sigma = open_store(out), asked.run.sigma

    def one(number: int) -> str:
        votes = votes_of(asked.entries[number], sigma, number)
        return commit(store, votes, asked.metadata)

    began = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as pool:
        names = set(pool.map(one, range(len(asked.entries))))
    assert len(names) == len(asked.entries)
    return time.perf_counter() - began


def rows(out: str, folder: Path, count: int) -> Iterator[Row]:
    """Yield what was measured.

    Args:
        out: prefix; empty.
        folder: for the images.
        count: of objects.
    """
    asked = asked_for(folder, count)
    sigma = asked.run.sigma
    seconds = write(asked, out)
    what = f"{count:,} objects of {BLOCKS_PER_IMAGE} blocks"
    yield _row(f"{what}, committed by {WRITERS} threads", seconds, count)
    began = time.perf_counter()
    assert len(vote_files(open_store(out), sigma)) == count
    yield _row(f"{what}, listed", time.perf_counter() - began, count)
    index = cost(indexed, out, sigma)
    yield _row(f"{what}, LedgerIndex", index.seconds, count)
    merged = cost(compact, out)
    (did,) = merged.result
    yield _row(f"{what}, compact to {did.files_after}", merged.seconds, count)
    again = cost(indexed, out, sigma)
    assert again.result == index.result
    yield _row(f"{did.files_after} objects, LedgerIndex", again.seconds, count)


def _row(what: str, seconds: float, count: int) -> Row:
    return Row(what, f"{seconds:.1f} s, {count / seconds:.0f} of the objects/s")


NOTE = """\
S3 is OpenStack Swift 2.38 in memory on the same machine, four processes of Python on
the same cores; a server of its own answers faster. Indexing reads with 16 threads,
merging with 4.
"""


def main() -> None:
    """Measure, and keep the section if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    before, found = load(), []
    with tempfile.TemporaryDirectory() as name, served() as prefix:
        for row in rows(prefix, Path(name), asked.objects):
            sys.stderr.write(f"{row.what}: {row.value}\n")
            found.append(row)
    keep("Ledger on S3", found, note=NOTE, before=before, write=asked.write)


if __name__ == "__main__":
    main()
