"""An actor that waits, in a file that imports no PyTorch: so that 64 of them fit."""

import hashlib
import pickle
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from pipelines.attempts import Attempts


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
            done = self._attempts.survived(
                f"fused/{name}", keys, lambda _, n=name: self._wait(n), never
            )
            list(done)
            if self._trace:
                with self._trace.open("a") as trace:
                    trace.write(f"{began} {time.time()}\n")
            yield {"votes": [votes]}

    def _wait(self, name: str) -> None:
        seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
        share = np.random.default_rng(seed).uniform(-self._run.spread, self._run.spread)
        time.sleep(self._run.seconds * (1 + share))


def never(condemned: Mapping[str, str]) -> None:
    """Refuse to set images aside."""
    raise AssertionError(condemned)
