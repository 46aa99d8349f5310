"""Many small images through the whole of ``diffsmooth certify``: rate and memory.

Run: ``python tests/bench/scale_images.py [--images N ...] [--profile FILE] [--write]``.
The network costs next to nothing, so the rate is what everything else can do.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from measure import Row
from scale_process import Watched, watched
from scale_table import keep, load
from synthetic_images import VOTES_PER_IMAGE, images_parquet, recipe, written

from infra.object_store import open_store
from pipelines.heartbeat import read_heartbeat

UNIT_VOTES = 150 * VOTES_PER_IMAGE
"""150 images in a unit."""

WANTED_RATE = 300
DIFFSMOOTH = Path(sys.executable).with_name("diffsmooth")


@dataclass(frozen=True)
class Certified:
    """One run of ``diffsmooth certify``."""

    images: int
    seconds: float
    voting_rate: float
    """Images per second while votes were cast."""

    peak_megabytes: float
    """Of the driver."""

    phases: Mapping[str, tuple[float, float]]
    """Seconds by phase, in order, and the driver's peak in MB until its end."""

    stages: Mapping[str, tuple[int, float]]
    """Calls and their seconds, by stage, as the workers' logs have them."""


def certified(folder: Path, images: int, profile: Path | None) -> Certified:
    """Certify so many images.

    Args:
        folder: for images, Ray's session and OUT; short, as sockets lie in it.
        images: how many.
        profile: where the driver's profile goes, if it is wanted.
    """
    data, out = folder / f"{images}.parquet", folder / f"out_{images}"
    images_parquet(data, images)
    raw = recipe(data, stages={"unit_votes": UNIT_VOTES})
    path = written(raw, folder / f"images_{images}.yaml")
    ray = folder / f"ray_{images}"
    ray.mkdir()
    profiled = ["-m", "cProfile", "-o", str(profile)] if profile else []
    words = [str(DIFFSMOOTH), "certify", str(path), "--out", str(out)]
    environment = {"RAY_TMPDIR": str(ray), "DIFFSMOOTH_LOG": "json"}
    with watched([sys.executable, *profiled, *words], environment) as driver:
        seconds = driver.wait()
    beat = read_heartbeat(open_store(out))
    assert beat is not None
    return Certified(
        images=images,
        seconds=seconds,
        voting_rate=beat.votes_per_second / VOTES_PER_IMAGE,
        peak_megabytes=driver.peak_megabytes,
        phases=_phases(out, driver, seconds),
        stages=_stages(ray),
    )


def _phases(out: Path, driver: Watched, seconds: float) -> dict[str, tuple]:
    """Return what each phase took, by the files it wrote last."""
    votes = [file.stat().st_mtime for file in out.glob("votes/*/*.parquet")]
    ends = {
        "list, hash and check": (out / "recipe.yaml").stat().st_mtime,
        "until the first votes": min(votes),
        "until the last votes": max(votes),
        "certify": (out / "certificates.parquet").stat().st_mtime,
        "report": (out / "manifest.json").stat().st_mtime,
        "track and end": driver.began + seconds,
    }
    times = pairwise([driver.began, *ends.values()])
    return {
        name: (end - start, max(mb for at, mb in driver.peaks if at <= end))
        for name, (start, end) in zip(ends, times, strict=True)
    }


def _stages(ray: Path) -> dict[str, tuple[int, float]]:
    found: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for line in _lines(ray):
        if line.get("message") == "ended":
            calls, seconds = found[line["stage"]]
            found[line["stage"]] = calls + 1, seconds + line["seconds"]
    return dict(found)


def _lines(ray: Path) -> Iterator[dict]:
    for file in ray.glob("**/session_2*/logs/worker-*.err"):
        for line in file.read_text().splitlines():
            if line.startswith("{"):
                yield json.loads(line)


def rows(found: Certified) -> list[Row]:
    """Return one run as rows of the table."""
    count = f"{found.images:,} images"
    phases = "; ".join(
        f"{name} {seconds:.1f} s, {peak:.0f} MB"
        for name, (seconds, peak) in found.phases.items()
    )
    stages = "; ".join(
        f"{name} {calls} calls, {seconds:.1f} s"
        for name, (calls, seconds) in found.stages.items()
    )
    whole = found.images / found.seconds
    return [
        Row(
            f"{count}, votes cast",
            f"{found.voting_rate:.0f} images/s",
            f">= {WANTED_RATE} images/s",
        ),
        Row(f"{count}, whole job", f"{whole:.0f} images/s, {found.seconds:.0f} s"),
        Row(f"{count}, driver's peak", f"{found.peak_megabytes:.0f} MB", "flat"),
        Row(f"{count}, by phase: seconds, and the driver's peak until then", phases),
        Row(f"{count}, calls of the workers", stages),
    ]


NOTE = f"""\
8 x 8 PNGs in one Parquet file, no purifier, an untrained ResNet-8, {VOTES_PER_IMAGE}
votes an image, {UNIT_VOTES // VOTES_PER_IMAGE} images a unit. The driver's memory is
its own, without Ray's other processes.
"""


def main() -> None:
    """Certify each number of images, and keep the section if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[5_000, 50_000])
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    before = load()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        runs = [certified(Path(name), n, asked.profile) for n in asked.images]
    found = [row for run in runs for row in rows(run)]
    keep("Images through certify", found, note=NOTE, before=before, write=asked.write)


if __name__ == "__main__":
    main()
