"""Units for images that stop by themselves: in rounds, each up to the next look.

The images are dealt into a few hands that take turns. While the votes of one hand are
counted, those of the others are cast, so no device waits for a verdict. What is asked
for in each turn follows from the votes before it alone: planned again after its worker
died, the same units come in the same order.
"""

import pickle
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from infra.object_store import Store, open_store
from infra.sources.entry import Entry
from ops.certify.sequential import passes
from ops.vote.streams import CLEAN
from pipelines.attempts import Tell
from pipelines.certify_sequential import standings_of
from pipelines.image_groups import ImageGroup
from pipelines.ledger import vote_files
from pipelines.reading import Reading
from pipelines.standings import STREAM, Standings
from pipelines.units import Job, Unit, plan_units, votes_per_unit
from pipelines.vote_rows import read_votes

HANDS = 3
"""Parts of the images that take turns."""

_LEAST_AHEAD = 2
"""Blocks per actor that a turn asks for at least, past the next look if need be."""

_UNITS_IN_A_TURN = 1
"""Of each actor, which has those of other hands too; small units cost Ray time."""

_PAUSE_SECONDS = 0.05
_LISTED_AFTER_SECONDS = 30.0
"""Without news, after which files are listed: the tracker may have begun anew."""


@dataclass(frozen=True)
class Rounds:
    """Images that are voted on until each has stopped."""

    entries: tuple[Entry, ...]
    has_clean: np.ndarray
    """bool ``image``; whether its copy without noise has voted."""

    groups: tuple[ImageGroup, ...]
    """The images that have votes, and the files that hold them."""

    reading: Reading
    out: str
    num_actors: int
    unit_votes: int
    """Votes in a unit at most."""

    most_units: int
    """Units after which the turns end, wherever the images stand."""

    hands: int = HANDS


@dataclass(frozen=True)
class ExpandRounds:
    """Rounds in, their units out, as votes come in."""

    tell: Tell
    """Reaches the tracker, which knows what was committed and how much is under way."""

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[bytes]]]:
        """Yield the units as rows, when there is room for them."""
        for pickled in batch["rounds"]:
            turns = Turns(pickle.loads(pickled), self.tell)
            for index, unit in enumerate(turns.units()):
                while not self.tell("may_emit", 0, index, unit.num_blocks):
                    time.sleep(_PAUSE_SECONDS)
                yield {"unit": [pickle.dumps(unit)]}


@dataclass
class Turns:
    """Who stands where, and what was asked for."""

    rounds: Rounds
    tell: Tell
    store: Store = field(init=False)
    standings: Standings = field(init=False)
    asked: np.ndarray = field(init=False)
    """int64 ``image``; blocks that were there, or asked for, from the first on."""

    at_first: np.ndarray = field(init=False)
    """bool ``image block``; what was there before the first turn, and is not asked."""

    needs_clean: np.ndarray = field(init=False)
    num_told: int = 0
    """Vote files that the tracker has told of."""

    heard: set[str] = field(default_factory=set)
    """Vote files that were read."""

    num_units: int = 0
    asked_at: float = field(default_factory=time.monotonic)
    """When there were names last, told or listed."""

    def __post_init__(self) -> None:
        rounds = self.rounds
        labels = {entry.key: entry.label for entry in rounds.entries}
        self.store = open_store(rounds.out)
        self.standings = standings_of(labels, rounds.reading)
        for group in rounds.groups:
            votes = read_votes(self.store, group.files, group.keys)
            self.standings.take(votes.rows)
            self.heard.update(group.files)
        self.asked = self.standings.prefix
        self.at_first = self.standings.there.copy()
        self.needs_clean = ~rounds.has_clean

    def units(self) -> Iterator[Unit]:
        """Yield units until every image has stopped, the near-cap radii last."""
        reading = self.rounds.reading
        assert reading.table is not None  # under the sequential rule
        first, *others = passes(reading.table, reading.run.sigma)
        self.standings.begin(first)
        yield from self._pass()
        for table in others:
            self.standings.reopen(table)
            yield from self._pass()

    def _pass(self) -> Iterator[Unit]:
        """Yield the units of all turns over one table."""
        rows = np.arange(len(self.rounds.entries))
        num = min(self.rounds.hands, len(rows))
        hands = deque(rows[hand::num] for hand in range(num))
        while hands and self.num_units < self.rounds.most_units:
            hand = hands.popleft()
            self._settle(hand)
            units = list(self._turn(hand))
            self.num_units += len(units)
            yield from units
            going = hand[~self.standings.standing.stopped[hand]]
            if len(going):
                hands.append(going)

    def _settle(self, hand: np.ndarray) -> None:
        """Wait for what was asked for, and look at it."""
        while True:
            self.standings.advance(self.asked)
            going = hand[~self.standings.standing.stopped[hand]]
            if (self.standings.prefix[going] >= self.asked[going]).all():
                break
            while not self._heard_news():
                time.sleep(_PAUSE_SECONDS)
        standing = self.standings.standing
        labels = np.array([entry.label for entry in self.rounds.entries])
        right = (standing.num_radii > 0) & (standing.latched_class == labels)
        self.tell("decided", int(standing.stopped.sum()), int(right.sum()))

    def _heard_news(self) -> bool:
        """Take the votes that are new; return whether there are any."""
        names, self.num_told = self.tell("committed_since", self.num_told)
        if not names and time.monotonic() - self.asked_at > _LISTED_AFTER_SECONDS:
            names = vote_files(self.store, self.rounds.reading.run.sigma)
        fresh = [name for name in names if name not in self.heard]
        if names:
            self.asked_at = time.monotonic()
        if fresh:
            self.heard.update(fresh)
            self.standings.take(read_votes(self.store, fresh).rows)
        return bool(fresh)

    def _turn(self, hand: np.ndarray) -> Iterable[Unit]:
        """Return the units of what a hand lacks up to its next looks."""
        going = hand[~self.standings.standing.stopped[hand]]
        target = self.asked.copy()
        target[going] = self._targets(going)
        jobs = [job for row in hand for job in self._jobs(row, int(target[row]))]
        self.asked = target
        self.needs_clean[hand] = False
        block = self.rounds.reading.run.sampling.block
        limit = votes_per_unit(
            block * sum(len(job.blocks) for job in jobs),
            block=block,
            unit_votes=self.rounds.unit_votes,
            num_actors=self.rounds.num_actors,
            each=_UNITS_IN_A_TURN,
        )
        return plan_units(jobs, block=block, limit=limit)

    def _targets(self, going: np.ndarray) -> np.ndarray:
        """Return how many blocks each image is to have after its turn.

        The next look's; while that leaves actors without work, a later one's.
        """
        least = _LEAST_AHEAD * self.rounds.num_actors
        target = self.standings.looks_ahead(going, 1)
        for ahead in range(2, self.standings.most_looks + 1):
            if not len(going) or (target - self.asked[going]).sum() >= least:
                break
            target = self.standings.looks_ahead(going, ahead)
        return target

    def _jobs(self, row: int, target: int) -> Sequence[Job]:
        entry, asked = self.rounds.entries[row], int(self.asked[row])
        jobs = [Job(entry, CLEAN, (0,))] if self.needs_clean[row] else []
        there = self.at_first[row, asked:target]
        blocks = (asked + np.flatnonzero(~there)).tolist()
        return [*jobs, Job(entry, STREAM, tuple(blocks))] if blocks else jobs
