"""A search that learns goes on where part of its space is refused."""

from types import SimpleNamespace
from typing import Any

import pytest

from tune.chooser import Learning
from tune.chosen import Choice, Chosen
from tune.study import Halving, OptunaSearch, load_study
from tune.suggest import rungs_of, scheduler_of

STUDY: dict[str, Any] = {
    "space": {"local.sigma": {"low": 0.01, "high": 1.0}, "local.num": [1, 2, 3, 4]},
    "search": {"kind": "optuna", "num_trials": 30},
    "objective": {"kind": "certified_accuracy", "radius": 0.25},
    "held_out": {"split": "test"},
}


@pytest.mark.parametrize("against_cost", [False, True])
def test_as_many_points_are_tried_as_were_asked_for(against_cost: bool) -> None:
    search = {**STUDY["search"], "against_cost": against_cost}
    raw = {"sigma": 0.5, "study": {**STUDY, "search": search}}
    study, rest = load_study(raw, "half")
    assert isinstance(study.search, OptunaSearch)

    def may_be_tried(choice: Choice) -> bool:
        return choice.point["local.num"] < 2

    learning = Learning(Chosen(rest, "half", study), study.search, may_be_tried)
    found: list[tuple[Choice, float, float]] = []
    for _ in range(30):
        choice = learning.next({one.key for one, _, _ in found}, found)
        assert choice is not None
        assert may_be_tried(choice)
        found.append((choice, -abs(choice.point["local.sigma"] - 0.3), 1.0))

    assert len({choice.key for choice, _, _ in found}) == 30


def test_with_fewer_images_than_halving_begins_with_nobody_is_left_off() -> None:
    scheduler = scheduler_of(Halving(first=64), 50, [])
    controller: Any = None
    trial: Any = SimpleNamespace(trial_id="worst")

    decided = {
        scheduler.on_trial_result(controller, trial, {"images": 50, "value": value})
        for value in (9.0, 1.0, -5.0)
    }

    assert rungs_of(Halving(first=64), 50) == (50,)
    assert decided == {"CONTINUE"}


def test_a_study_of_cascades_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rule\.kind of small is cascade"):
        load_study({"study": {}, "rule": {"kind": "cascade"}}, "small")
