from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from tune.candidate import Candidate
from tune.chooser import Found
from tune.chosen import Choice
from tune.records import Record, Rung
from tune.study import Halving
from tune.suggest import Queue, Suggestions, rungs_of, scheduler_of
from tune.trial import Setting, Status
from tune.trial_run import FAILED, IMAGES, VALUE, Trying

NUM_IMAGES = 100
HALVING = Halving(first=16, factor=2)


def candidate(choice: Choice) -> Candidate:
    """Work out a choice; that of place 2 is refused."""
    place = int(choice.point["sigma"])
    reading: Any = None if place == 2 else SimpleNamespace()
    setting = Setting("", 0.25 + place, 0.1, 5, 1_000)
    return Candidate(choice, setting, reading, 7.0, "" if reading else "Too loud.")


def queue_of(num: int) -> Queue:
    """Return what hands out so many choices that are known from the start."""
    choices = [Choice("", None, {"sigma": place}) for place in range(num)]
    return Queue(
        records=[],
        known=iter(enumerate(choices)),
        learning=None,
        num_trials=num,
        num_images=NUM_IMAGES,
        candidate=candidate,
        trying=lambda number, found: Trying(number, found, "0"),
    )


def suggestions(queue: Queue) -> tuple[Suggestions, list[Record]]:
    """Return what gives trials of a queue, and the records it has told of."""
    told: list[Record] = []
    return Suggestions(queue, told.append), told


def result(images: int, value: float, **more: Any) -> dict[str, Any]:
    return {IMAGES: images, VALUE: value, **more}


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize(
    ("images", "failure", "error", "status"),
    [
        ((16, 32, 100), "", False, "finished"),
        ((16, 32), "", False, "stopped"),
        ((16,), "No weights.", False, "failed"),
        ((16,), "", True, "failed"),
        ((), "", True, "failed"),
    ],
)
def test_a_trial_that_ended_is_taken_down_with_what_it_reported(
    images: tuple[int, ...], failure: str, error: bool, status: Status, twice: bool
) -> None:
    queue = queue_of(5)
    asking, told = suggestions(queue)
    trying = asking.suggest("a")["trying"]
    results = [result(num, float(num) / 2) for num in images]
    if failure:
        results.append(result(0, np.nan, **{FAILED: failure}))

    last = None if error else results[-1]
    for one in results:
        if one is not last or twice:  # of the last, Ray Tune may tell once or twice
            asking.on_trial_result("a", one)
    asking.on_trial_complete("a", last, error=error)

    (record,) = told
    assert queue.records == [record]
    assert (record.status, record.number, record.order) == (status, trying.number, 0)
    assert record.choice == trying.candidate.choice
    assert record.rungs == tuple(Rung(num, num / 2) for num in images)
    assert record.reason.startswith(failure or ("Its process died" if error else ""))
    assert bool(record.reason) == (status == "failed")
    assert record.cost == trying.candidate.cost > 0


def test_trials_at_once_are_taken_down_in_the_order_in_which_they_end() -> None:
    asking, told = suggestions(queue_of(5))
    for trial_id in "abc":
        asking.suggest(trial_id)

    for trial_id in "cab":
        asking.on_trial_complete(trial_id, result(NUM_IMAGES, 1.0))

    # Number 2 was refused before the third trial began.
    assert [(one.number, one.order) for one in told] == [(2, 0), (3, 1), (0, 2), (1, 3)]


def test_a_refused_trial_is_taken_down_and_told_like_any_other() -> None:
    queue = queue_of(3)
    asking, told = suggestions(queue)
    for trial_id in "ab":
        asking.suggest(trial_id)
        asking.on_trial_complete(trial_id, result(NUM_IMAGES, 1.0))

    assert asking.suggest("c") == Searcher.FINISHED
    *_, last = queue.records
    assert (last.number, last.order, last.status) == (2, 2, "refused")
    assert last.reason == "Too loud."
    assert told == queue.records


def test_a_search_that_learns_is_told_what_was_tried_and_what_came_of_it_last() -> None:
    told: list[tuple[set[str], Sequence[Found]]] = []
    choices = [Choice("", None, {"sigma": place}) for place in range(6)]
    learning: Any = SimpleNamespace(next=lambda *a: told.append(a) or choices[5])
    asking, _ = suggestions(replace(queue_of(5), learning=learning, num_trials=6))

    for trial_id, reported in [("a", (16, 32, 100)), ("b", (16, 32)), ("c", (16,))]:
        asking.suggest(trial_id)
        for images in reported:
            asking.on_trial_result(trial_id, result(images, float(images)))
        asking.on_trial_complete(trial_id, error=trial_id == "c")
    asking.suggest("d")  # which runs on
    trying = asking.suggest("e")["trying"]

    assert (trying.number, trying.candidate.choice) == (5, choices[5])
    found = [(choices[0], 100.0, 7.0), (choices[1], 32.0, 7.0)]
    assert told == [({choice.key for choice in choices[:5]}, found)]
    assert asking.suggest("f") == Searcher.FINISHED


@pytest.mark.parametrize(
    ("halving", "num_images", "rungs"),
    [
        (None, 500, (500,)),
        (Halving(first=64, factor=2), 500, (64, 128, 256, 500)),
        (Halving(first=64, factor=2), 256, (64, 128, 256)),
        (Halving(first=10, factor=5), 251, (10, 50, 250, 251)),
        (Halving(first=64, factor=2), 64, (64,)),
    ],
)
def test_trials_report_after_so_many_times_more_images_and_after_all(
    halving: Halving | None, num_images: int, rungs: tuple[int, ...]
) -> None:
    assert rungs_of(halving, num_images) == rungs


Told = Callable[[str, int, float], str]


def told_to(scheduler: TrialScheduler) -> Told:
    """Return what tells a scheduler of a result, and returns what it decides."""
    controller: Any = None
    known: set[str] = set()

    def tell(name: str, images: int, value: float) -> str:
        trial: Any = SimpleNamespace(trial_id=name)
        if name not in known:
            scheduler.on_trial_add(controller, trial)
            known.add(name)
        decided = scheduler.on_trial_result(controller, trial, result(images, value))
        if decided == TrialScheduler.STOP:
            scheduler.on_trial_complete(controller, trial, result(images, value))
        return decided

    return tell


def seen_live() -> tuple[Told, list[Record]]:
    """Run a baseline, then nine trials side by side, and return how they ended."""
    tell = told_to(scheduler_of(HALVING, NUM_IMAGES, []))
    assert tell("baseline", NUM_IMAGES, 59.0) == TrialScheduler.STOP
    values = np.random.default_rng(0).uniform(40, 60, (9, 4))
    rungs: dict[int, list[Rung]] = {trial: [] for trial in range(9)}
    over: list[int] = []
    for rung, images in enumerate(rungs_of(HALVING, NUM_IMAGES)):
        for trial in sorted(set(rungs) - set(over), key=lambda one: values[one, 0]):
            rungs[trial].append(Rung(images, float(values[trial, rung])))
            decided = tell(f"{trial}", images, values[trial, rung])
            if decided == TrialScheduler.STOP:
                over.append(trial)
    rungs[9] = [Rung(NUM_IMAGES, 59.0)]
    choice = Choice("", None, {"sigma": 0})
    records = []
    for order, one in enumerate([9, *over]):
        whole = rungs[one][-1].images == NUM_IMAGES
        status: Status = "finished" if whole else "stopped"
        own = tuple(rungs[one])
        records.append(Record(one, choice, status, "", own, 1.0, order, 1.0))
    return tell, records


@pytest.mark.parametrize("rung", [0, 1, 2])
def test_a_scheduler_that_reads_records_decides_as_one_that_saw_the_trials(
    rung: int,
) -> None:
    *before, images = rungs_of(HALVING, NUM_IMAGES)[: rung + 1]
    decided = []
    for value in np.linspace(40, 60, 41):
        live, records = seen_live()
        read = told_to(scheduler_of(HALVING, NUM_IMAGES, records))
        for earlier in before:
            assert {tell("new", earlier, 99.0) for tell in (live, read)} == {"CONTINUE"}
        decided.append((live("new", images, value), read("new", images, value)))

    assert {one for one, _ in decided} == {"CONTINUE", "STOP"}
    assert all(one == other for one, other in decided)


def test_a_trial_in_the_worse_half_of_those_that_came_so_far_is_left_off() -> None:
    _, records = seen_live()
    firsts = [
        one.rungs[0].value for one in records if one.rungs[0].images == HALVING.first
    ]
    middle = float(np.median(firsts))

    for value, decided in [
        (middle - 1e-6, TrialScheduler.STOP),
        (middle + 1e-6, TrialScheduler.CONTINUE),
    ]:
        tell = told_to(scheduler_of(HALVING, NUM_IMAGES, records))
        assert tell("new", HALVING.first, value) == decided


def test_without_halving_every_trial_gets_all_images() -> None:
    _, records = seen_live()

    tell = told_to(scheduler_of(None, NUM_IMAGES, records))

    assert tell("new", HALVING.first, -1.0) == TrialScheduler.CONTINUE
