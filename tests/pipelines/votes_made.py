"""Votes made by hand, what an index says of them, and rows of certificates' blocks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from infra.local_store import LocalStore
from infra.object_store import Store
from pipelines.ledger import BY_KEY, VOTES, vote_metadata
from pipelines.ledger_index import LedgerIndex
from pipelines.vote_rows import read_all_votes

IDENTITY = {"sigma": 0.25, "seed": 0}
FACTS = vote_metadata(IDENTITY, {"sigma": 0.25, "num_estimate": 100}, "six")
MORE = vote_metadata(IDENTITY, {"sigma": 0.25, "num_estimate": 200}, "six")
STREAMS = ("clean", "select", "estimate")


def blocks_of_image(
    *blocks: int,
    image: str = "a",
    stream: str = "estimate",
    count: int = 8,
    **changed: Any,
) -> pa.Table:
    fields = {
        "sigma": 0.25,
        "image_key": image,
        "label": 3,
        "stream": stream,
        "counts": [{"class": 3, "count": count}],
        "invalid": 10 - count,
        "seconds": 0.5,
        "image_sha256": image * 2,
        "failure": None,
        "conditions": "{}",
    }
    rows = [{**fields, "block": block, **changed} for block in blocks]
    return pa.Table.from_pylist(rows, VOTES)


def blocks_and_counts(rows: pa.Table) -> list[tuple[int, int]]:
    """Return the blocks in order, each with the count of its first class."""
    votes = rows.sort_by("block").to_pylist()
    return [(vote["block"], vote["counts"][0]["count"]) for vote in votes]


def votes_that_count(store: Store) -> list[dict[str, Any]]:
    """Return the votes that count, in the order of their keys."""
    rows = read_all_votes(store, 0.25).rows
    return rows.select(VOTES.names).sort_by(BY_KEY).to_pylist()


def seen(index: LedgerIndex) -> set[tuple[str, str, int]]:
    """Return all blocks an index says are there, of images it has and has not."""
    keys = ["unknown", *sorted(index.codes, reverse=True)]
    return {
        (keys[image], stream, int(block))
        for stream in (*STREAMS, "predict")
        for image, block in np.argwhere(index.present(keys, stream, 50))
    }


def told_by(index: LedgerIndex) -> dict[str, Any]:
    """Return all that an index says."""
    keys = sorted(index.codes)
    return {
        "seen": seen(index),
        "files": index.files_of(keys),
        "num_blocks": index.num_blocks(),
        "num_differing": index.num_differing,
        "conditions": set(index.conditions),
        "metadata": {str(facts) for facts in index.metadata},
        "images": index.images().to_pylist(),
    }


class Counting(LocalStore):
    """A store that notes which contents are read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        object.__setattr__(self, "reads", [])

    def read(self, name: str) -> bytes:
        self.reads.append(name)  # type: ignore[attr-defined]
        return super().read(name)


COUNTS = tuple[Mapping[int, int], int]
"""Votes by class, and copies that voted for none."""


def block(key: str, stream: str, index: int, votes: COUNTS, **changed: Any) -> dict:
    counts, invalid = votes
    fields = {
        "sigma": 0.25,
        "image_key": key,
        "label": 3,
        "stream": stream,
        "block": index,
        "counts": [{"class": c, "count": n} for c, n in sorted(counts.items())],
        "invalid": invalid,
        "seconds": 0.1,
        "image_sha256": "aa",
        "failure": None,
        "conditions": "{}",
    }
    return fields | changed


def image(key: str, estimate: COUNTS = ({3: 10}, 0), **changed: Any) -> list[dict]:
    """Return the 4 blocks of an image of the small recipe: 1 + 10 + 20 copies."""
    return [
        block(key, "clean", 0, ({3: 1}, 0), **changed),
        block(key, "select", 0, ({3: 10}, 0), **changed),
        block(key, "estimate", 0, estimate, **changed),
        block(key, "estimate", 1, estimate, **changed),
    ]


def table(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows, VOTES)


def only(certificates: pa.Table) -> dict[str, Any]:
    (row,) = certificates.to_pylist()
    return row
