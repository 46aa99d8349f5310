"""A reader and an actor that wait per vote, and votes of chances that a key names."""

import hashlib
import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import ndtr
from synthetic_actor import BLOCK, SIGMA, ReadNothing, Wait

from pipelines.ledger import VOTES
from pipelines.set_aside import identity_row
from pipelines.units import Unit
from pipelines.vote_sink import packed, unpacked

LABEL = 3


def key_of(number: int, quantile: float) -> str:
    """Return the key of an image whose votes fail as often as a quantile says."""
    return f"image_{number:06d}_{quantile:+.4f}"


def votes_of(unit: Unit) -> pa.Table:
    """Return votes of a unit as its images' keys want them, the same every time."""
    rows = []
    for job in unit.jobs:
        failure = float(ndtr(-float(job.entry.key.rpartition("_")[2])))
        for block in job.blocks:
            label = f"{job.entry.key} {job.stream} {block}".encode()
            seed = int.from_bytes(hashlib.blake2b(label, digest_size=8).digest())
            copies = 1 if job.stream == "clean" else BLOCK
            lost = int(np.random.default_rng(seed).binomial(copies, failure))
            counts = [(LABEL, copies - lost), (LABEL + 1, lost)]
            rows.append(
                {
                    **identity_row(job, block, SIGMA, None),
                    "counts": [{"class": c, "count": n} for c, n in counts if n],
                    "invalid": 0,
                    "seconds": 1.0,
                    "failure": None,
                    "conditions": "{}",
                }
            )
    return pa.Table.from_pylist(rows, VOTES)


class DrawVotes(ReadNothing):
    """In place of decoding: the unit's name, images and drawn votes."""

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[bytes]]]:
        """Yield each unit with its votes."""
        for pickled in batch["unit"]:
            unit: Unit = pickle.loads(pickled)
            keys = [entry.key for entry in unit.entries]
            votes = packed(votes_of(unit))
            yield {"unit": [pickle.dumps((unit.name, keys, votes))]}


class WaitPerVote(Wait):
    """In place of the four ops: as long as a unit's votes take."""

    def _seconds(self, name: str, votes: bytes) -> float:
        return self._run.seconds_per_vote * BLOCK * len(unpacked(votes))
