"""A reader and an actor that wait, without PyTorch: so that 64 of them fit."""

import hashlib
import pickle
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.attempts import Attempts
from pipelines.ledger import VOTES
from pipelines.set_aside import identity_row
from pipelines.units import Unit
from pipelines.vote_sink import packed

SIGMA = 0.25
BLOCK = 100


class Wait:
    """In place of the four ops: some time per unit, drawn from its name."""

    def __init__(
        self, run: SimpleNamespace, settings: dict[str, Any], aside: Attempts
    ) -> None:
        del settings
        self._run, self._attempts = run, aside
        name = f"{time.time_ns()}_{id(self)}"
        self._trace = Path(run.trace) / name if run.trace else None

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[bytes]]]:
        """Yield the votes of each unit after its time."""
        for payload in batch["unit"]:
            name, keys, votes = pickle.loads(payload)
            began = time.time()
            seconds = self._seconds(name, votes)
            done = self._attempts.survived(
                f"fused/{name}", keys, lambda _, s=seconds: time.sleep(s), never
            )
            list(done)
            if self._trace:
                with self._trace.open("a") as trace:
                    trace.write(f"{began} {time.time()}\n")
            yield {"votes": [votes]}

    def _seconds(self, name: str, votes: bytes) -> float:
        """Return how long a unit takes."""
        seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
        share = np.random.default_rng(seed).uniform(-self._run.spread, self._run.spread)
        return self._run.seconds * (1 + share)


def votes_of(unit: Unit) -> pa.Table:
    """Return votes of a unit that nobody cast."""
    counts = [{"class": 3, "count": BLOCK}]
    rows = [
        {
            **identity_row(job, block, SIGMA, None),
            "counts": counts,
            "invalid": 0,
            "seconds": 1.0,
            "failure": None,
            "conditions": "{}",
        }
        for job in unit.jobs
        for block in job.blocks
    ]
    return pa.Table.from_pylist(rows, VOTES)


class ReadNothing:
    """In place of decoding: the unit's name, images and ready-made votes."""

    def __init__(self, source: None, preprocess: str, attempts: Attempts) -> None:
        del source, preprocess
        self._attempts = attempts

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[bytes]]]:
        """Yield each unit with its votes."""
        for pickled in batch["unit"]:
            unit: Unit = pickle.loads(pickled)
            keys = [entry.key for entry in unit.entries]
            made = self._attempts.survived(
                f"decode/{unit.name}", keys, lambda _, u=unit: votes_of(u), never
            )
            votes = pa.concat_tables(list(made))
            yield {"unit": [pickle.dumps((unit.name, keys, packed(votes)))]}


def never(condemned: Mapping[str, str]) -> None:
    """Refuse to set images aside."""
    raise AssertionError(condemned)
