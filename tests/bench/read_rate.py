"""How fast images are read through a manifest: from an S3 server and from this disk.

Run: ``python tests/bench/read_rate.py [--images N] [--rounds N] [--write]``. The server
is OpenStack Swift on this machine (``tests/servers/swift.py``), which shares its cores;
with ``--write`` the table is kept beside this file, named for hardware and month.
"""

import argparse
import io
import json
import logging
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from made import file_name, heading
from measure import Row, Timing, alternate, markdown, timed
from PIL import Image

from infra.object_store import Store, open_store
from infra.sources.manifest import Manifest
from pipelines.ingest import ingest

logger = logging.getLogger(__name__)

IMAGES_AT_ONCE = 256
"""Of one call to the source, as where a run takes stock of its images."""

SIDE, NUM_CLASSES, NUM_SHARDS, WRITERS = 32, 10, 10, 16
SWIFT = Path(__file__).parents[1] / "servers" / "swift.py"
LAYOUTS = {"class_folders": "by name", "webdataset": "by byte range in shards"}


@contextmanager
def served() -> Iterator[str]:
    """Run the server and make it this process's; yields a prefix in its bucket."""
    from botocore.session import Session

    with subprocess.Popen(
        [sys.executable, str(SWIFT)], stdin=-1, stdout=-1, text=True
    ) as server:
        assert server.stdout is not None
        environment = json.loads(server.stdout.readline())
        if "missing" in environment:
            raise SystemExit(environment["missing"])
        os.environ.update(environment)
        os.environ["AWS_DEFAULT_REGION"] = environment["AWS_REGION"]
        Session().create_client("s3").create_bucket(Bucket="bench")
        yield f"s3://bench/{uuid.uuid4().hex}"


def images(count: int) -> Iterator[tuple[int, str, bytes]]:
    """Yield class, key and file of small images that PNG can pack a little."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = rng.integers(0, 256, (SIDE // 2, SIDE // 2, 3), np.uint8)
        written = io.BytesIO()
        Image.fromarray(coarse.repeat(2, 0).repeat(2, 1)).save(written, "png")
        yield number % NUM_CLASSES, f"image_{number:05d}", written.getvalue()


def files(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files of both layouts."""
    listed = images(count)
    for number in range(NUM_SHARDS):
        shard = io.BytesIO()
        with tarfile.open(fileobj=shard, mode="w") as tar:
            for label, key, content in islice(listed, count // NUM_SHARDS):
                yield f"class_folders/{label}/{key}.png", content
                for ending, part in (("png", content), ("cls", str(label).encode())):
                    member = tarfile.TarInfo(f"{key}.{ending}")
                    member.size = len(part)
                    tar.addfile(member, io.BytesIO(part))
        yield f"webdataset/{number:03d}.tar", shard.getvalue()


def write(store: Store, count: int) -> Timing:
    """Put the files of both layouts into a store."""
    with ThreadPoolExecutor(WRITERS) as pool:
        listed = list(files(count))
        return timed(lambda: list(pool.map(lambda file: store.write(*file), listed)))


def ingested(place: str, layout: str) -> tuple[Manifest, Timing]:
    """Return the manifest of a layout, made beside it, and how long that took."""
    path = f"{place}/{layout}.parquet"
    timing = timed(lambda: ingest(f"{place}/{layout}", layout, [], path))
    return Manifest(path=path), timing


def read(manifest: Manifest) -> int:
    """Read every image as a run does: listed, then so many at once; returns bytes."""
    entries = manifest.entries()
    size = 0
    for start in range(0, len(entries), IMAGES_AT_ONCE):
        contents = manifest.read(entries[start : start + IMAGES_AT_ONCE])
        size += sum(map(len, contents))
    return size


def rows(places: Mapping[str, str], *, count: int, rounds: int) -> Iterator[Row]:
    """Yield what was measured.

    Args:
        places: folder or prefix by what to call it; empty.
        count: images, a multiple of ``NUM_SHARDS``.
        rounds: readings that are timed.
    """
    for where, place in places.items():
        yield _row(f"write, {where}", [write(open_store(place), count)], count)
    for layout, way in LAYOUTS.items():
        manifests = {}
        for where, place in places.items():
            manifests[where], timing = ingested(place, layout)
            yield _row(f"ingest {layout}, {where}", [timing], count)
        listing = {where: made.entries for where, made in manifests.items()}
        for where, timings in alternate(listing, rounds=rounds).items():
            yield _row(f"list by the manifest of {layout}, {where}", timings, count)
        reading = {where: partial(read, made) for where, made in manifests.items()}
        for where, timings in alternate(reading, rounds=rounds).items():
            yield _row(f"**read {way}, {where}**", timings, count)


def _row(what: str, timings: Sequence[Timing], count: int) -> Row:
    seconds = statistics.median(timing.wall_seconds for timing in timings)
    cores = statistics.median(timing.core_seconds for timing in timings)
    logger.info("%s: %.1f s", what, seconds)
    each = 1000 * cores / count
    return Row(what, f"{count / seconds:.0f} images/s ({each:.2f} ms of a core each)")


def table(found: Sequence[Row], *, count: int, load: float) -> str:
    """Return the table under a heading that says how it was made."""
    size = sum(len(content) for _, _, content in images(100)) / 100
    more = {
        "load before": f"{load:.1f}",
        "images": f"{count} PNG of {SIDE} x {SIDE}, {size:.0f} bytes on average",
    }
    return f"{heading('# Speed of reading images', more)}\n{markdown(found)}\n{NOTE}"


NOTE = """\
Medians over rounds; writing and ingesting once. S3 is OpenStack Swift 2.38 in memory on
the same machine, four processes of Python on the same cores: the core time is the
client's alone, and a server of its own answers faster. The disk's files lie in the page
cache. Reading checks every image's SHA-256; nothing is decoded.
"""


def main() -> None:
    """Measure, print the table, and keep it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logger.setLevel(logging.INFO)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, served() as prefix:
        places = {"disk": folder, "S3": prefix}
        found = list(rows(places, count=asked.images, rounds=asked.rounds))
    text = table(found, count=asked.images, load=load)
    sys.stdout.write(text)
    if asked.write:
        Path(__file__).with_name(file_name("read_rate")).write_text(text)


if __name__ == "__main__":
    main()
