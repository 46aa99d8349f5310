"""Who works on what, who died of it, and how much more may be begun.

One per run, as a Ray actor that takes no core. It holds nothing that a certificate
needs: if it is lost, work goes on, and only the count of deaths begins anew.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.commits import Commits

LOST_IN_A_ROW = 5
"""Images set aside by one stage, with no call that ended between, that end a run."""


@dataclass(frozen=True)
class Attempt:
    """One call of a stage that has begun and not ended."""

    stage: str
    images: tuple[str, ...]
    """Keys of the images it works on."""

    node: str
    """Identifier of the node."""

    pid: int
    """Of the worker."""

    since: float
    """Seconds since the epoch."""

    suspected: bool = False
    """Whether a worker had died of these images before this call began."""

    def told(self) -> str:
        """Return the attempt as words."""
        more = f" and {len(self.images) - 3} more" if len(self.images) > 3 else ""
        images = ", ".join(self.images[:3])
        minutes = (time.time() - self.since) / 60
        return (
            f"{self.stage} of {images}{more} on node {self.node[:8]}, process "
            f"{self.pid}, for {minutes:.1f} min"
        )


@dataclass(frozen=True)
class Verdict:
    """What a stage is told before it begins a call."""

    alone: bool
    """Whether each image is to be a call of its own: one of them may be deadly."""

    condemned: Mapping[str, str]
    """Images that are not to be tried again, with the reason."""

    hopeless: str | None
    """Why going on is pointless: too many images were set aside, and no call of the
    stage has ended in between."""

    again: bool = False
    """Whether a worker died of this call before."""


@dataclass(frozen=True)
class News:
    """What a driver is told now and then."""

    names: tuple[str, ...]
    """Vote files that were committed since it asked last."""

    in_flight: tuple[Attempt, ...]
    num_retries: int
    condemned: Mapping[str, str]


class UnitTracker:
    """Counts attempts and what is under way; a call that begins twice died once."""

    def __init__(
        self,
        attempts: int,
        room: int,
        slack: int = 0,
        is_alive: Callable[[str], bool] | None = None,
    ) -> None:
        """Start with nothing under way.

        Args:
            attempts: deaths of its worker after which an image is set aside.
            room: blocks that may be under way at once.
            slack: blocks that may wait somewhere until others join them; so many under
                way hold nobody up.
            is_alive: whether a node still lives; ``None`` asks Ray. Whoever dies with
                its node did not die of an image.
        """
        self._attempts, self._room, self._slack = attempts, room, slack
        self._is_alive = is_alive or _node_is_alive
        self._running: dict[str, Attempt] = {}
        self._errors: dict[str, str] = {}
        self._suspects: dict[tuple[str, str], int] = {}
        self._condemned: dict[str, str] = {}
        self._lost_in: Counter[str] = Counter()
        self._emitted: dict[int, int] = {}
        self._commits = Commits()
        self._num_told = 0
        self._under_way = 0
        self._num_retries = 0

    def may_emit(self, wave: int, number: int, blocks: int) -> bool:
        """Return whether a unit may be begun now, and count it if so.

        Args:
            wave: the unit's.
            number: of the unit in its wave, from 0; a wave that is planned anew after
                its worker died comes with the same numbers.
            blocks: in the unit.
        """
        if number < self._emitted.get(wave, 0):
            return True
        if self._under_way > self._slack and self._under_way + blocks > self._room:
            return False
        self._emitted[wave] = number + 1
        self._under_way += blocks
        return True

    def begin(
        self, call: str, stage: str, images: Sequence[str], node: str, pid: int
    ) -> Verdict:
        """Take notice that a call is about to begin, and say how.

        Args:
            call: names the call, the same when Ray repeats it.
            stage: that makes it.
            images: keys of those it works on.
            node: identifier of the node.
            pid: of the worker.
        """
        earlier = self._running.pop(call, None)
        if earlier is not None:
            self._died(call, earlier)
        self._forget_parts(call)
        condemned = {k: self._condemned[k] for k in images if k in self._condemned}
        rest = tuple(key for key in images if key not in condemned)
        suspected = any((stage, key) in self._suspects for key in rest)
        alone = suspected and len(rest) > 1
        if rest and not alone:
            now = time.time()
            self._running[call] = Attempt(stage, rest, node, pid, now, suspected)
        return Verdict(alone, condemned, self._hopeless(stage), earlier is not None)

    def end(self, call: str) -> None:
        """Take notice that a call has ended well."""
        attempt = self._running.pop(call, None)
        if attempt is not None:
            self._lost_in.pop(attempt.stage, None)
            if len(attempt.images) == 1:
                self._suspects.pop((attempt.stage, *attempt.images), None)

    def failed(self, call: str, error: str) -> None:
        """Take notice of what a call raised just before its worker ended itself."""
        self._errors[call] = error

    def committed(self, name: str, blocks: int) -> None:
        """Take notice that blocks are in the ledger, for good or as failed.

        Args:
            name: of the vote file; told again it changes nothing.
            blocks: in the file.
        """
        if self._commits.take(name, blocks):
            self._under_way -= blocks

    def committed_since(self, known: int) -> tuple[list[str], int]:
        """Return the vote files after the first ``known``, and how many there are."""
        return self._commits.since(known)

    def decided(self, images: int, certified: int) -> None:
        """Take notice of how many images have stopped, and are certified rightly."""
        self._commits.decide(images, certified)

    def progress(self) -> tuple[int, int, int]:
        """Return images that stopped, those certified rightly, blocks committed."""
        return self._commits.progress

    def news(self) -> News:
        """Return what has happened; names only once."""
        fresh, self._num_told = self._commits.since(self._num_told)
        in_flight = sorted(self._running.values(), key=lambda one: one.since)
        return News(
            tuple(fresh), tuple(in_flight), self._num_retries, dict(self._condemned)
        )

    def _forget_parts(self, call: str) -> None:
        """Forget calls of one image each that a condemned image left behind."""
        for name in [n for n in self._running if n.startswith(f"{call}/")]:
            if self._running[name].images[0] in self._condemned:
                del self._running[name]

    def _hopeless(self, stage: str) -> str | None:
        if self._lost_in[stage] < LOST_IN_A_ROW:
            return None
        key, reason = list(self._condemned.items())[-1]
        return f"{key}: {reason}"

    def _died(self, call: str, attempt: Attempt) -> None:
        self._num_retries += 1
        error = self._errors.pop(call, None)
        if not self._is_alive(attempt.node):
            return
        if len(attempt.images) != 1:
            for key in attempt.images:
                self._suspects.setdefault((attempt.stage, key), 0)
            return
        (key,) = attempt.images
        if key not in self._condemned:
            self._died_alone(key, attempt, error)

    def _died_alone(self, key: str, attempt: Attempt, error: str | None) -> None:
        """Count the death of a worker that tried one image.

        Those who were at it before it was suspect may have died of one cause, such as a
        full node, hence count once.
        """
        stage = attempt.stage
        num = self._suspects.get((stage, key), 0)
        if num == 0 or attempt.suspected:
            num += 1
        self._suspects[stage, key] = num
        if num >= self._attempts:
            last = f", at last of {error}" if error else ""
            self._condemned[key] = f"its worker died {num} times in stage {stage}{last}"
            self._lost_in[stage] += 1


def _node_is_alive(node: str) -> bool:
    # Deferred: whoever tests the rules needs no Ray.
    import ray

    return any(found["NodeID"] == node and found["Alive"] for found in ray.nodes())
