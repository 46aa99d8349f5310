"""A cluster that casts votes of known chances, whenever somebody asks for news."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from infra.object_store import open_store
from infra.sources.entry import Entry
from ops.vote.streams import num_copies
from pipelines.certificates import certify_votes
from pipelines.image_groups import image_groups
from pipelines.ledger import VOTES, commit
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import Reading
from pipelines.rounds import Rounds, Turns
from pipelines.unit_tracker import UnitTracker
from pipelines.units import Unit
from pipelines.vote_rows import read_all_votes

FACTS = {"vote_identity": "{}", "recipe": "{}", "name": "played"}

Chances = Mapping[str, Sequence[float]]
"""By image: the chance of each class, and of none."""


@dataclass
class Played:
    """Images, OUT and the units that were asked for."""

    reading: Reading
    chances: Chances
    out: Path
    pick: Callable[[list[Unit]], Unit] = lambda waiting: waiting.pop(0)
    seed: int = 0
    most_units: int = 10**6
    num_actors: int = 2
    unit_votes: int = 1000
    tracker: UnitTracker = field(default_factory=lambda: UnitTracker(3, 10**9))
    waiting: list[Unit] = field(default_factory=list)
    asked: list[Unit] = field(default_factory=list)

    @cached_property
    def labels(self) -> dict[str, int]:
        """The class with the largest chance, by key."""
        return {key: int(np.argmax(own)) for key, own in self.chances.items()}

    def rounds(self) -> Rounds:
        """Return what is planned from where OUT stands."""
        sigma = self.reading.run.sigma
        index = LedgerIndex(open_store(self.out), sigma)
        keys = list(self.labels)
        voted = {key: self.labels[key] for key in keys if key in index.codes}
        return Rounds(
            entries=tuple(Entry(key, self.labels[key], None) for key in keys),
            has_clean=index.present(keys, "clean", 1)[:, 0],
            groups=tuple(image_groups(index, voted)) if voted else (),
            reading=self.reading,
            out=str(self.out),
            num_actors=self.num_actors,
            unit_votes=self.unit_votes,
            most_units=self.most_units,
        )

    def play(self, most: int | None = None) -> None:
        """Ask for units until there are no more, or until some were asked for."""
        for number, unit in enumerate(Turns(self.rounds(), self).units()):
            if number == most:
                return
            self.asked.append(unit)
            self.waiting.append(unit)
        while self.waiting:
            self.vote()

    def __call__(self, method: str, *words: Any) -> Any:
        """Stand for the tracker; who asks for news lets one unit be voted on."""
        if method == "committed_since" and self.waiting:
            self.vote()
        return getattr(self.tracker, method)(*words)

    def vote(self) -> None:
        """Cast the votes of one unit that waits, and commit them."""
        rows = [
            self._row(job.entry, job.stream, block)
            for job in self.pick(self.waiting).jobs
            for block in job.blocks
        ]
        votes = pa.Table.from_pylist(rows, VOTES)
        name = commit(open_store(self.out), votes, FACTS)
        self.tracker.committed(name, len(rows))

    def _row(self, entry: Entry, stream: str, block: int) -> dict[str, Any]:
        label = f"{self.seed} {entry.key} {stream} {block}".encode()
        seed = int.from_bytes(hashlib.blake2b(label, digest_size=8).digest())
        chances = self.chances[entry.key]
        copies = num_copies(stream, self.reading.run.sampling.block)
        counts = np.random.default_rng(seed).multinomial(copies, chances)
        *classes, invalid = counts.tolist()
        return {
            "sigma": self.reading.run.sigma,
            "image_key": entry.key,
            "label": entry.label,
            "stream": stream,
            "block": block,
            "counts": [{"class": c, "count": n} for c, n in enumerate(classes) if n],
            "invalid": invalid,
            "seconds": 0.0,
            "image_sha256": None,
            "failure": None,
            "conditions": "{}",
        }

    def votes(self) -> pa.Table:
        """Return the ledger's rows."""
        return read_all_votes(open_store(self.out), self.reading.run.sigma).rows

    def certificates(self) -> pa.Table:
        """Return what the votes in OUT certify."""
        return certify_votes(self.votes(), self.labels, self.reading)
