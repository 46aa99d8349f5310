"""What it costs to commit the votes of one unit, as a share of the 10 s it took.

Run: ``python tests/bench/commit_cost.py [--times N] [--write]``.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace

from measure import Row
from read_rate import served
from scale_table import keep, load
from synthetic_stages import METADATA, entries, votes_of

from infra.object_store import Store, open_store
from pipelines.ledger import commit
from pipelines.units import Job, Unit

UNIT_SECONDS = 10.0
BLOCKS = (20, 100)
WANTED = 0.02


def seconds_each(store: Store, num_blocks: int, times: int) -> list[float]:
    """Return how long each of some commits took.

    Args:
        store: of OUT.
        num_blocks: in each.
        times: commits that are timed, after one that is not.
    """
    blocks = tuple(range(num_blocks))
    found = []
    for entry in entries(times + 1):
        named = replace(entry, key=f"{entry.key}_{num_blocks}")
        votes = votes_of(Unit((Job(named, "estimate", blocks),)))
        began = time.perf_counter()
        commit(store, votes, METADATA)
        found.append(time.perf_counter() - began)
    return found[1:]


def rows(places: dict[str, str], times: int) -> Iterator[Row]:
    """Yield what was measured, place by place.

    Args:
        places: folder or prefix by what to call it.
        times: commits of each size.
    """
    for where, place in places.items():
        for num_blocks in BLOCKS:
            found = seconds_each(open_store(place), num_blocks, times)
            median = statistics.median(found)
            late = statistics.quantiles(found, n=20)[-1]
            yield Row(
                f"commit of {num_blocks} blocks, {where}",
                f"{1000 * median:.1f} ms, 95th percentile {1000 * late:.1f} ms; "
                f"{median / UNIT_SECONDS:.2%} and {late / UNIT_SECONDS:.2%} of 10 s",
                f"< {WANTED:.0%}",
            )


NOTE = """\
On disk a commit waits until the file and its name have reached it. S3 is OpenStack
Swift in memory on the same machine, four processes on the same cores.
"""


def main() -> None:
    """Measure, and keep the section if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    before = load()
    with tempfile.TemporaryDirectory() as folder, served() as prefix:
        found = list(rows({"disk": folder, "S3": prefix}, asked.times))
    keep("Commit", found, note=NOTE, before=before, write=asked.write)


if __name__ == "__main__":
    main()
