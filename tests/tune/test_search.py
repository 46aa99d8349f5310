from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher

from infra.object_store import Store, open_store
from tune.chosen import PLACEHOLDER, Choice, Chosen, model_key
from tune.cost import Cost
from tune.records import Record, Rung, read_records, write_record
from tune.search import Search
from tune.space import grid
from tune.study import load_study
from tune.suggest import Queue, Suggestions
from tune.trial import Status
from tune.trial_run import IMAGES, VALUE, Trying

NUM_IMAGES = 100
RECIPE = {
    "data": {"source": "digits", "split": "tune"},
    "sigma": [0.25],
    "purifier": {"kind": "nothing"},
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
    "local": {"sigma": 0.1, "num": 1},
}
LISTED = {
    "space": {"local.sigma": [0, 0.1], "local.num": [1, 5]},
    "baselines": {"DDS": {"local.sigma": 0, "local.num": 1}},
}
"""Trials 0 to 4, of which number 2, 5 local noises without spread, is refused."""

LEARNED = {
    **LISTED,
    "space": {"local.sigma": {"low": 0.01, "high": 0.5}, "local.num": [1, 5]},
    "search": {"kind": "optuna", "num_trials": 9, "num_startup": 3},
}
"""Trial 0, a baseline, and nine that are asked for."""


def search_of(store: Store, study: dict[str, Any]) -> Search:
    """Return a small study as it stands in a store."""
    fields = {
        "objective": {"kind": "certified_accuracy", "radius": 0.25},
        "held_out": {"split": "test"},
    }
    read, rest = load_study({**RECIPE, "study": {**fields, **study}}, "small")
    chosen = Chosen(rest, "small", read)
    (sigma,) = (one for one in chosen.dimensions if one.field == "sigma")
    choices = [Choice("", None, point) for point in grid([sigma])]
    runs = [chosen.run(choice, PLACEHOLDER) for choice in choices]
    study_job: Any = SimpleNamespace(
        chosen=chosen,
        models={model_key(run): (run, Cost(0.0, 1.0)) for run in runs},
        job=SimpleNamespace(entries=range(NUM_IMAGES)),
        store=store,
    )
    return Search(study_job)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def ended(number: int, choice: Choice, status: Status = "finished") -> Record:
    """Return the record of a trial that ended."""
    return Record(number, choice, status, "", (Rung(100, 1.0),), 1.0, number, 1.0)


def drained(queue: Queue) -> list[Trying]:
    return list(iter(queue.next, None))


def test_trials_come_in_order_and_refused_ones_are_taken_down_and_passed_over(
    store: Store,
) -> None:
    search = search_of(store, LISTED)
    queue = search.queue()

    found = drained(queue)

    assert [one.number for one in found] == [0, 1, 3, 4]
    assert [one.candidate.choice for one in found] == [
        *(search.fixed[number] for number in (0, 1, 3, 4)),
    ]
    (refused,) = queue.records
    assert (refused.number, refused.status) == (2, "refused")
    assert "num 1 where sigma is 0" in refused.reason
    assert queue.next() is None


def test_those_that_ended_are_not_tried_again_and_failed_ones_are(store: Store) -> None:
    fixed = search_of(store, LISTED).fixed
    statuses: dict[int, Status] = {0: "failed", 1: "finished", 3: "stopped"}
    for number, status in statuses.items():
        write_record(store, ended(number, fixed[number], status))

    queue = search_of(store, LISTED).queue()

    assert [record.number for record in queue.records] == [1, 3]
    found = drained(queue)
    assert [one.number for one in found] == [0, 4]
    assert [one.candidate.choice for one in found] == [fixed[0], fixed[4]]


def test_a_search_that_learns_goes_on_to_its_last_number(store: Store) -> None:
    queue = search_of(store, LEARNED).queue()

    found = drained(queue)

    assert [one.number for one in found] == list(range(10))
    assert [one.candidate.choice.baseline for one in found] == ["DDS"] + [None] * 9
    assert len({one.candidate.choice.key for one in found}) == 10


def test_a_learned_trial_that_failed_is_tried_again_under_its_number(
    store: Store,
) -> None:
    fresh = drained(search_of(store, LEARNED).queue())
    for trying in fresh[:6]:
        status: Status = "failed" if trying.number == 3 else "finished"
        write_record(store, ended(trying.number, trying.candidate.choice, status))

    found = drained(search_of(store, LEARNED).queue())

    assert [one.number for one in found] == [3, 6, 7, 8, 9]
    assert found[0].candidate.choice == fresh[3].candidate.choice


def played(
    queue: Queue, store: Store, most: int, failing: int | None = None
) -> list[tuple[int, str]]:
    """Run so many trials of a queue, each to a value that hangs on its choice."""
    asking = Suggestions(queue, lambda record: write_record(store, record))
    found: list[tuple[int, str]] = []
    while len(found) < most:
        trial_id = f"trial {len(found)}"
        config = asking.suggest(trial_id)
        if config == Searcher.FINISHED:
            break
        choice = config["trying"].candidate.choice
        value = -abs(choice.point.get("local.sigma", 0) - 0.2)
        number = config["trying"].number
        result = None if number == failing else {IMAGES: NUM_IMAGES, VALUE: value}
        asking.on_trial_complete(trial_id, result, error=number == failing)
        found.append((number, choice.key))
    return found


@pytest.mark.parametrize(("study", "num"), [(LISTED, 4), (LEARNED, 10)])
def test_a_study_that_is_broken_off_after_every_trial_tries_what_a_whole_one_does(
    store: Store, tmp_path: Path, study: dict[str, Any], num: int
) -> None:
    elsewhere = open_store(tmp_path / "elsewhere")
    whole = played(search_of(elsewhere, study).queue(), elsewhere, 99)

    parts = []
    for _ in range(num):
        parts += played(search_of(store, study).queue(), store, 1)

    assert parts == whole
    assert len(whole) == num
    assert played(search_of(store, study).queue(), store, 1) == []
    kept, others = ([r.number for r in read_records(s)] for s in (store, elsewhere))
    assert kept == others
    assert {record.status for record in read_records(store)} <= {"finished", "refused"}


@pytest.mark.parametrize("study", [LISTED, LEARNED])
def test_trials_are_read_in_the_order_in_which_they_ended_after_one_that_failed(
    store: Store, study: dict[str, Any]
) -> None:
    first = played(search_of(store, study).queue(), store, 3, failing=1)

    then = played(search_of(store, study).queue(), store, 2)

    numbers = [number for number, _ in [first[0], first[2], *then]]
    finished = [one for one in read_records(store) if one.status == "finished"]
    assert then[0] == first[1]
    assert [one.number for one in finished] == numbers
