from collections.abc import Iterable
from typing import Any

import pytest

from pipelines.reading import Reading
from tune.candidate import Candidate, candidate
from tune.chooser import baselines, everything
from tune.chosen import PLACEHOLDER, Choice, Chosen, copies_key, model_key
from tune.cost import Cost
from tune.groups import served_as_well, traced_together
from tune.study import load_study

RECIPE = {
    "data": {"source": "digits", "split": "tune"},
    "sigma": [0.25, 0.5],
    "purifier": {"kind": "nothing"},
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
    "local": {"sigma": 0.1, "num": 1},
    "sampling": {"num_estimate": 1000, "block": 100},
}
SPACE = {"local.sigma": [0, 0.1], "local.num": [1, 5]}
"""Of which 5 local noises without spread are refused."""

CONTINUOUS = {"local.sigma": {"low": 0.01, "high": 0.5}, "local.num": [1, 5, 20]}
OPTUNA = {"kind": "optuna", "num_trials": 2}
RANDOM = {"kind": "random", "num_trials": 3}
STUDY = {
    "objective": {"kind": "certified_accuracy", "radius": 0.25},
    "held_out": {"split": "test"},
    "variants": {
        "standard": {"classifier.weights": {"untrained": 0}},
        "smoothed": {"classifier.weights": {"untrained": 1}},
    },
    "baselines": {"DDS": {"local.sigma": 0.2, "local.num": 1}},
}


class Small:
    """A small study, and what is worked out of its choices."""

    def __init__(self, **study: Any) -> None:
        read, rest = load_study({**RECIPE, "study": {**STUDY, **study}}, "small")
        self.chosen = Chosen(rest, "small", read)

    def candidate(self, choice: Choice) -> Candidate:
        run = self.chosen.run(choice, PLACEHOLDER)
        models = {model_key(run): (run, Cost(0.0, 1.0))}
        return candidate(self.chosen, choice, models, num_images=3)

    def copies_of(self, choice: Choice) -> str:
        return copies_key(self.chosen.run(choice, PLACEHOLDER))

    def together(self) -> dict[str, tuple[Reading, ...]]:
        return traced_together(self.chosen, self.candidate, self.copies_of)

    def readings(self, choices: Iterable[Choice]) -> list[Reading]:
        found = (self.candidate(choice).reading for choice in choices)
        return [reading for reading in found if reading is not None]


def whole(small: Small) -> list[Reading]:
    """Return the readings of the baselines and of the whole space."""
    return small.readings([*baselines(small.chosen), *everything(small.chosen)])


def told(readings: Iterable[Reading]) -> list[str]:
    """Return readings as text, in an order that does not depend on their own."""
    return sorted(reading.run.model_dump_json() for reading in readings)


def test_one_pass_serves_all_of_a_grid_that_votes_on_the_same_copies() -> None:
    small = Small(space=SPACE)

    found = small.together()

    # Both classifiers look at the same copies, those of another sigma differ.
    assert len(found) == 2
    for copies, readings in found.items():
        (sigma,) = {reading.run.sigma for reading in readings}
        of_sigma = [one for one in whole(small) if one.run.sigma == sigma]
        assert copies == copies_key(readings[0].run)
        assert told(readings) == told(of_sigma)
        assert len(readings) == 2 * (3 + 1)  # a variant has 3 points and a baseline


def test_another_purifier_makes_other_copies() -> None:
    purifiers = {
        "nothing": {"kind": "nothing"},
        "ddpm": {"kind": "one_shot_ddpm", "weights": {"untrained": 0}},
    }

    found = Small(space={"purifier": purifiers, **SPACE}, baselines={}).together()

    kinds = [{one.run.purifier.kind for one in served} for served in found.values()]
    assert len(found) == 4
    assert all(len(kind) == 1 for kind in kinds)


def test_what_a_random_search_has_drawn_is_served_and_nothing_else() -> None:
    small = Small(space={"sigma": [0.25, 0.5], **CONTINUOUS}, search=RANDOM)

    found = small.together()

    served = [reading for readings in found.values() for reading in readings]
    searched = [one for one in served if one.run.local.sigma != 0.2]
    assert len(served) == 2 * 2 + 3
    assert len({one.run.local.sigma for one in searched}) == 3


def test_a_finite_space_in_which_a_search_learns_is_traced_as_a_whole() -> None:
    small = Small(space=SPACE, search=OPTUNA)

    found = small.together()

    served = [reading for readings in found.values() for reading in readings]
    assert told(served) == told(whole(small))
    assert len(served) == 2 * 2 * (3 + 1)


@pytest.mark.parametrize(
    "space", [CONTINUOUS, {"local.num": {"low": 1, "high": 1_001}}]
)
def test_of_a_space_that_is_too_large_the_baselines_alone_are_traced_ahead(
    space: dict[str, Any],
) -> None:
    small = Small(space=space, search=OPTUNA)

    found = small.together()

    served = [reading for readings in found.values() for reading in readings]
    assert told(served) == told(small.readings(baselines(small.chosen)))


def test_a_trial_of_a_continuous_space_serves_all_numbers_of_its_local_noise() -> None:
    small = Small(space=CONTINUOUS, search=OPTUNA)
    point = {"sigma": 1, "local.sigma": 0.3, "local.num": 1}

    found = served_as_well(
        small.chosen, Choice("smoothed", None, point), small.candidate
    )

    assert [one.run.local.num for one in found] == [1, 5, 20]
    assert {one.run.local.sigma for one in found} == {0.3}
    assert {one.run.sigma for one in found} == {0.5}
    assert {copies_key(one.run) for one in found} == {
        small.copies_of(Choice("smoothed", None, point))
    }


def test_numbers_of_local_noises_and_of_copies_are_served_in_all_pairs() -> None:
    numbers = [100, 200, 300, 400]
    space = {**CONTINUOUS, "sampling.num_estimate": numbers}
    small = Small(space=space, search=OPTUNA)
    point = {
        **{"sigma": 0, "local.sigma": 0.3},
        **{"local.num": 0, "sampling.num_estimate": 0},
    }

    found = served_as_well(
        small.chosen, Choice("standard", None, point), small.candidate
    )

    pairs = {(one.run.local.num, one.run.sampling.num_estimate) for one in found}
    assert len(found) == len(pairs) == 3 * 4
    assert pairs == {(m, n) for m in (1, 5, 20) for n in numbers}


def test_those_that_are_refused_are_served_to_nobody() -> None:
    budget = {"per_image": 1_500, "unit": "classifier_calls"}
    small = Small(space=CONTINUOUS, search=OPTUNA, budget=budget)
    point = {"sigma": 0, "local.sigma": 0.3, "local.num": 2}

    found = served_as_well(
        small.chosen, Choice("standard", None, point), small.candidate
    )

    served = [(one.run.local.num, one.run.sampling.num_estimate) for one in found]
    assert served == [(1, 1_500), (5, 300)]
