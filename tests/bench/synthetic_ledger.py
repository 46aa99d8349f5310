"""A ledger of votes that nobody cast: as many files and blocks as are asked for."""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from synthetic_images import BATCH, NUM_CLASSES, images_parquet, recipe, written

from infra.sources.entry import Entry
from pipelines.decode import entry_digests
from pipelines.identity import vote_identity
from pipelines.ledger import COUNT, VOTES, commit, vote_metadata
from pipelines.recipe import Run, load_recipe
from pipelines.worker import WorkerSettings

BLOCK = 10
SAMPLING = {"num_select": 10, "num_estimate": 980, "num_predict": 10, "block": BLOCK}
BLOCKS_PER_IMAGE = 100
"""One clean, one to guess the class, 98 to bound it: one file an image."""

CONDITIONS = WorkerSettings("float32", BATCH, False, False, None).conditions()
"""Under which a run on this machine would cast its own."""

WRITERS = 2


@dataclass(frozen=True)
class Place:
    """A store that only takes files, and does not wait until they are on the disk."""

    folder: Path

    def write_once(self, name: str, data: bytes) -> bool:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return True


@dataclass(frozen=True)
class Asked:
    """Images and the run whose votes are made up."""

    recipe: Path
    run: Run
    entries: Sequence[Entry]
    """With their digests."""

    metadata: Mapping[str, str]


def asked_for(folder: Path, images: int) -> Asked:
    """Write images and their recipe.

    Args:
        folder: for both.
        images: how many.
    """
    data = folder / f"{images}.parquet"
    images_parquet(data, images)
    raw = recipe(data, sampling=SAMPLING)
    path = written(raw, folder / f"ledger_{images}.yaml")
    run = load_recipe(str(path), []).runs[0]
    listed = run.data.source.entries()
    digests = entry_digests(run.data.source, listed)
    entries = [replace(entry, sha256=digests[entry.key]) for entry in listed]
    resolved = run.model_dump(mode="json")
    metadata = vote_metadata(vote_identity(run), resolved, path.stem)
    return Asked(path, run, entries, metadata)


def votes_of(entry: Entry, sigma: float, number: int) -> pa.Table:
    """Return the votes of one image: most for its label, some for another class.

    Args:
        entry: the image.
        sigma: std of the certified noise, in [0, 1] pixels.
        number: seeds the counts.
    """
    numbers = {
        "clean": 1,
        "select": SAMPLING["num_select"] // BLOCK,
        "estimate": SAMPLING["num_estimate"] // BLOCK,
    }
    streams = np.repeat(list(numbers), list(numbers.values()))
    copies = np.where(streams == "clean", 1, BLOCK)
    right = np.random.default_rng(number).binomial(copies, 0.9)
    counts = np.stack([right, copies - right], axis=1).ravel()
    classes = np.tile([entry.label, (entry.label + 1) % NUM_CLASSES], len(streams))
    kept = counts > 0
    pairs = pa.StructArray.from_arrays(
        [pa.array(classes[kept], pa.int32()), pa.array(counts[kept], pa.int32())],
        fields=list(COUNT),
    )
    ends = np.cumsum(kept.reshape(-1, 2).sum(axis=1))
    offsets = pa.array([0, *ends.tolist()], pa.int32())
    rows = len(streams)
    columns = {
        "sigma": np.full(rows, sigma),
        "image_key": [entry.key] * rows,
        "label": np.full(rows, entry.label),
        "stream": streams,
        "block": np.concatenate([np.arange(num) for num in numbers.values()]),
        "counts": pa.ListArray.from_arrays(offsets, pairs),
        "invalid": np.zeros(rows, np.int32),
        "seconds": np.full(rows, 0.1),
        "image_sha256": [entry.sha256] * rows,
        "failure": pa.nulls(rows, pa.string()),
        "conditions": [CONDITIONS] * rows,
    }
    return pa.table(columns).select(VOTES.names).cast(VOTES)


def write_ledger(asked: Asked, out: Path) -> list[str]:
    """Write one file of votes for each image, as the real commit names them.

    Args:
        asked: images and run.
        out: folder.

    Returns:
        The names, in the images' order.
    """
    write = partial(_write, asked=asked, out=out)
    with multiprocessing.get_context("spawn").Pool(WRITERS) as pool:
        parts = pool.map(write, _parts(len(asked.entries)), chunksize=1)
    return [name for part in parts for name in part]


def _write(numbers: range, asked: Asked, out: Path) -> list[str]:
    place: Any = Place(out)  # it only has to write
    sigma = asked.run.sigma
    return [
        commit(place, votes_of(asked.entries[n], sigma, n), asked.metadata)
        for n in numbers
    ]


def _parts(count: int) -> Iterator[range]:
    at_once = 1_000
    for start in range(0, count, at_once):
        yield range(start, min(count, start + at_once))
