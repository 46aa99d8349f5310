"""Hands trials to Ray Tune, and takes down how each ended."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tune.candidate import Candidate
from tune.chooser import Learning
from tune.chosen import Choice
from tune.records import Record, Rung
from tune.study import Halving
from tune.trial_run import FAILED, IMAGES, VALUE, Trying


class Suggestions(Searcher):
    """Gives Ray Tune one candidate after the other, and learns from what it gave."""

    def __init__(self, queue: "Queue", ended: Callable[[Record], None]) -> None:
        """Begin where the records end.

        Args:
            queue: what is tried next.
            ended: is told of every trial that has ended, or was refused.
        """
        super().__init__(metric=VALUE, mode="max")
        self._queue, self._ended = queue, ended
        self._running: dict[str, tuple[Trying, float, list[Rung]]] = {}

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial, or that there is none."""
        trying, refused = self._queue.next(), self._queue.refused()
        for record in refused:
            self._ended(record)
        if trying is None:
            return Searcher.FINISHED
        self._running[trial_id] = (trying, time.monotonic(), [])
        return {"trying": trying}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take down what a trial has after some images."""
        self._noted(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take down how a trial ended."""
        if result is not None:
            self._noted(trial_id, result)
        trying, began, rungs = self._running.pop(trial_id)
        reason = str((result or {}).get(FAILED, ""))
        if error and not reason:
            reason = "Its process died; the log of Ray Tune says more."
        record = self._queue.record(
            trying, rungs, reason=reason, seconds=time.monotonic() - began
        )
        self._ended(record)

    def _noted(self, trial_id: str, result: Mapping[str, Any]) -> None:
        _, _, rungs = self._running[trial_id]
        known = {rung.images for rung in rungs}
        if FAILED not in result and IMAGES in result and result[IMAGES] not in known:
            rungs.append(Rung(result[IMAGES], result[VALUE]))

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray Tune pickles a searcher that it never reads back."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: what has ended lies in OUT."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing, as nothing was kept."""


@dataclass
class Queue:
    """The trials that are left, in order; those of a search that learns one by one."""

    records: list[Record]
    """Of the trials that have ended, in the order in which they did."""

    known: Iterator[tuple[int, Choice]]
    """Numbers and choices that are tried whatever is found, and have not ended."""

    learning: Learning | None
    """Chooses after these."""

    num_trials: int
    """In all."""

    num_images: int
    """Of the study."""

    candidate: Callable[[Choice], Candidate]
    trying: Callable[[int, Candidate], Trying]

    def __post_init__(self) -> None:
        self._tried = {record.choice.key: record.number for record in self.records}
        self._refused: list[Record] = []

    def next(self) -> Trying | None:
        """Return the next trial; ``None`` when there is no more."""
        for number, choice in self.known:
            self._tried[choice.key] = number
            found = self.candidate(choice)
            if found.reading is not None:
                return self.trying(number, found)
            self.records.append(self._refusal(number, found))
            self._refused.append(self.records[-1])
        return self._learned()

    def refused(self) -> list[Record]:
        """Return those that were refused since this was asked last."""
        found, self._refused = self._refused, []
        return found

    def _learned(self) -> Trying | None:
        if self.learning is None or len(self._tried) >= self.num_trials:
            return None
        choice = self.learning.next(set(self._tried), self.found())
        if choice is None:
            return None
        number = self._free_number()
        self._tried[choice.key] = number
        return self.trying(number, self.candidate(choice))

    def _free_number(self) -> int:
        taken = set(self._tried.values())
        return next(number for number in range(len(taken) + 1) if number not in taken)

    def found(self) -> list[tuple[Choice, float, float]]:
        """Return what came of the trials so far, in the order in which they ended."""
        return [
            (record.choice, record.rungs[-1].value, record.cost)
            for record in self.records
            if record.rungs and record.status in ("finished", "stopped")
        ]

    def record(
        self, trying: Trying, rungs: Sequence[Rung], *, reason: str, seconds: float
    ) -> Record:
        """Return the record of a trial that has ended, and keep it.

        Args:
            trying: the trial.
            rungs: what it reported.
            reason: why it failed, if it did.
            seconds: it took.
        """
        whole = bool(rungs) and rungs[-1].images == self.num_images
        status = "failed" if reason else "finished" if whole else "stopped"
        made = Record(
            number=trying.number,
            choice=trying.candidate.choice,
            status=status,
            reason=reason,
            rungs=tuple(rungs),
            cost=trying.candidate.cost,
            order=self._next_order(),
            seconds=seconds,
        )
        self.records.append(made)
        return made

    def _refusal(self, number: int, found: Candidate) -> Record:
        return Record(
            number=number,
            choice=found.choice,
            status="refused",
            reason=found.refusal,
            rungs=(),
            cost=found.cost,
            order=self._next_order(),
            seconds=0.0,
        )

    def _next_order(self) -> int:
        return max((record.order for record in self.records), default=-1) + 1


def rungs_of(halving: Halving | None, num_images: int) -> tuple[int, ...]:
    """Return after how many images a trial reports.

    Args:
        halving: of the study.
        num_images: in all.
    """
    rungs, images = [], halving.first if halving else num_images
    while images < num_images:
        rungs.append(images)
        assert halving is not None  # else there is but one
        images *= halving.factor
    return (*rungs, num_images)


def scheduler_of(
    halving: Halving | None, num_images: int, records: Sequence[Record]
) -> TrialScheduler:
    """Return what ends trials early, and knows those that have ended.

    Args:
        halving: of the study.
        num_images: in all.
        records: of the trials that have ended, in the order in which they did.
    """
    if halving is None or halving.first >= num_images:
        return FIFOScheduler()
    scheduler = AsyncHyperBandScheduler(
        time_attr=IMAGES,
        metric=VALUE,
        mode="max",
        grace_period=halving.first,
        reduction_factor=halving.factor,
        max_t=num_images,
    )
    controller: Any = None  # it asks for none
    for record in records:
        trial: Any = SimpleNamespace(trial_id=f"ended {record.number}")
        scheduler.on_trial_add(controller, trial)
        for rung in record.rungs:
            result = {IMAGES: rung.images, VALUE: rung.value}
            scheduler.on_trial_result(controller, trial, result)
        if record.status == "finished":  # which Tune tells it; a baseline, that alone
            last = {IMAGES: record.rungs[-1].images, VALUE: record.rungs[-1].value}
            scheduler.on_trial_complete(controller, trial, last)
    return scheduler
