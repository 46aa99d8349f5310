"""Millions of blocks in a ledger on disk: indexed, certified, merged, continued.

Run: ``python tests/bench/scale_ledger.py [--images N ...] [--write]``; an image has 100
blocks in a file of its own.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import Row
from scale_process import Cost, cost, own_ray, peak_megabytes, watched
from scale_table import keep, load
from synthetic_ledger import BLOCKS_PER_IMAGE, Asked, asked_for, write_ledger

from infra import cluster
from infra.object_store import open_store
from pipelines.certify_on_cluster import certified_on_cluster
from pipelines.compact import compact
from pipelines.ledger import folder as folder_of
from pipelines.ledger_index import LedgerIndex
from pipelines.prepare import Job
from pipelines.reading import reading_of
from pipelines.recipe import load_recipe
from pipelines.results import num_set_aside

DIFFSMOOTH = Path(sys.executable).with_name("diffsmooth")
GIVE_UP_SECONDS = 600.0


def indexed(out: str, sigma: float) -> int:
    """Index a ledger; returns its rows."""
    return LedgerIndex(open_store(out), sigma).num_rows


def certified(recipe: str, out: str) -> tuple[int, float, float]:
    """Certify all images of a ledger through Ray.

    Returns:
        Images with all their votes, the seconds that the stage took, and the driver's
        peak in MB before it.
    """
    loaded, store = load_recipe(recipe, []), open_store(out)
    run = loaded.runs[0]
    entries = run.data.source.entries()
    indexes = {run.sigma: LedgerIndex(store, run.sigma)}
    readings = {run.sigma: reading_of(run, len(entries))}
    job = Job(loaded, out, store, entries, {}, indexes, readings)
    cluster.start(None)
    before, began = peak_megabytes(os.getpid()), time.perf_counter()
    (found,) = certified_on_cluster(job, [run])
    seconds = time.perf_counter() - began
    cluster.stop()
    whole = len(found.certificates) - num_set_aside(found.certificates)
    return whole, seconds, before


def seconds_to_first_votes(recipe: Path, out: Path, sigma: float) -> float:
    """Return how long ``diffsmooth certify`` takes until it writes votes.

    Raises:
        SystemExit: it ended or took too long.
    """
    votes = out / folder_of(sigma)
    before = votes.stat().st_mtime_ns
    words = [str(DIFFSMOOTH), "certify", str(recipe), "--out", str(out)]
    with watched(words, {}) as driver:
        while votes.stat().st_mtime_ns == before:
            if not driver.look() or time.time() - driver.began > GIVE_UP_SECONDS:
                raise SystemExit("certify has written no votes.")
            time.sleep(0.05)
        return time.time() - driver.began


def rows(folder: Path, images: int) -> Iterator[Row]:
    """Yield what was measured of a ledger of so many images.

    Args:
        folder: for images and ledger.
        images: how many.
    """
    asked, out = asked_for(folder, images), folder / f"out_{images}"
    began = time.perf_counter()
    names = write_ledger(asked, out)
    made = time.perf_counter() - began
    blocks = f"{images * BLOCKS_PER_IMAGE:,} blocks"
    yield Row(f"{blocks} in {images:,} files, made up", f"{made:.0f} s")
    yield from _read_rows(asked, out, f"{blocks}, {images:,} files")
    (out / names[-1]).unlink()
    yield _start_row(asked, out, f"{blocks}, {images:,} files")
    merged = cost(compact, str(out))
    (did,) = merged.result
    yield Row(
        f"{blocks}, compact: {did.files_before:,} files to {did.files_after:,}, "
        f"{did.bytes_before / 1e6:.0f} MB to {did.bytes_after / 1e6:.0f} MB",
        _told(merged),
    )
    yield from _read_rows(asked, out, f"{blocks}, {did.files_after} files")
    yield _start_row(asked, out, f"{blocks}, {did.files_after} files")


def _read_rows(asked: Asked, out: Path, what: str) -> Iterator[Row]:
    index = cost(indexed, str(out), asked.run.sigma)
    yield Row(f"{what}, LedgerIndex", _told(index))
    found = cost(certified, str(asked.recipe), str(out))
    count, seconds, before = found.result
    peak = f"driver's peak {before:.0f} MB before it, {found.peak_megabytes:.0f} MB"
    yield Row(
        f"{what}, {count:,} images certified through Ray",
        f"{seconds:.1f} s, {count / seconds:.0f} images/s, {peak} after",
        "memory flat",
    )


def _start_row(asked: Asked, out: Path, what: str) -> Row:
    seconds = seconds_to_first_votes(asked.recipe, out, asked.run.sigma)
    return Row(
        f"{what}, from the start of `diffsmooth certify` with one image's votes "
        f"missing to the first new file",
        f"{seconds:.1f} s",
        "< 60 s",
    )


def _told(found: Cost) -> str:
    return f"{found.seconds:.1f} s, memory + {found.megabytes:.0f} MB"


NOTE = """\
Memory is the peak of a fresh process, above what it had when its modules were imported.
The files lie in the page cache. Votes are made up; names are those of the real commit.
"""


def main() -> None:
    """Measure ledgers of each size, and keep the section if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[4_000, 40_000])
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    before, found = load(), []
    with tempfile.TemporaryDirectory() as name, own_ray():
        for images in asked.images:
            for row in rows(Path(name), images):
                sys.stderr.write(f"{row.what}: {row.value}\n")
                found.append(row)
    keep("Ledger on disk", found, note=NOTE, before=before, write=asked.write)


if __name__ == "__main__":
    main()
