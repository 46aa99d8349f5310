import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from tune.chooser import (
    Found,
    Learning,
    baselines,
    everything,
    fixed_choices,
    known_choices,
)
from tune.chosen import Choice, Chosen
from tune.study import OptunaSearch, load_study

RECIPE = {
    "data": {"source": "digits", "split": "tune"},
    "sigma": [0.25, 0.5],
    "purifier": {"kind": "nothing"},
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
    "local": {"sigma": 0.1, "num": 1},
}
SPACE = {"local.sigma": [0.06, 0.12], "local.num": [1, 5, 20]}
CONTINUOUS = {"local.sigma": {"low": 0.01, "high": 1.0, "log": True}}
VARIANTS = {
    "standard": {"classifier.weights": {"untrained": 0}},
    "smoothed": {"classifier.weights": {"untrained": 1}},
}
BASELINES = {"DDS": {"local.sigma": 0}, "Cohen": {"local.num": 1}}


def chosen_of(space: Any = SPACE, **study: Any) -> Chosen:
    """Return a small study with some fields set."""
    fields = {
        "objective": {"kind": "certified_accuracy", "radius": 0.25},
        "held_out": {"split": "test"},
        "space": space,
        **study,
    }
    read, rest = load_study({**RECIPE, "study": fields}, "small")
    return Chosen(rest, "small", read)


def learning(
    space: Any,
    may_be_tried: Callable[[Choice], bool] = lambda _: True,
    *,
    variants: Any = None,
    **search: Any,
) -> Learning:
    """Return what asks Optuna for the points of a space."""
    fields = {"kind": "optuna", "num_trials": 6, **search}
    chosen = chosen_of(space, search=fields, variants=variants or {})
    assert isinstance(chosen.study.search, OptunaSearch)
    return Learning(chosen, chosen.study.search, may_be_tried)


def read_back(choice: Choice) -> Choice:
    """Return a choice as a file of OUT gives it back."""
    said = json.loads(json.dumps([choice.variant, choice.baseline, {**choice.point}]))
    return Choice(*said)


def asked(
    asker: Callable[[], Learning],
    num: int,
    score: Callable[[Choice], float] = lambda _: 0.0,
    cost: Callable[[Choice], float] = lambda _: 1.0,
) -> list[Choice]:
    """Return what is asked for, one after the other, from what was found before."""
    found: list[Found] = []
    while len(found) < num:
        past = [(read_back(one), value, price) for one, value, price in found]
        choice = asker().next({one.key for one, *_ in past}, past)
        if choice is None:
            break
        found.append((choice, score(choice), cost(choice)))
    return [choice for choice, *_ in found]


def keys(choices: Iterable[Choice]) -> list[str]:
    return [choice.key for choice in choices]


def near_a_tenth(choice: Choice) -> float:
    return -abs(np.log(choice.point["local.sigma"] / 0.1))


def places(choices: Iterable[Choice], field: str) -> list[float]:
    return [choice.point[field] for choice in choices]


def test_a_grid_has_every_point_of_every_variant_once() -> None:
    found = known_choices(chosen_of(variants=VARIANTS))

    assert found is not None
    points = {(one.variant, *one.point.values()) for one in found}
    assert len(found) == len(points) == len(set(keys(found))) == 2 * 2 * 2 * 3
    assert all(one.baseline is None for one in found)


def test_baselines_come_first_and_once_per_sigma_and_variant() -> None:
    chosen = chosen_of(variants=VARIANTS, baselines=BASELINES)

    found = fixed_choices(chosen)

    told = [(one.variant, one.baseline, chosen.sigma(one)) for one in found[:8]]
    assert set(told) == {*itertools.product(VARIANTS, BASELINES, (0.25, 0.5))}
    assert keys(found[:8]) == keys(baselines(chosen))
    assert keys(found[8:]) == keys(known_choices(chosen) or [])


def test_a_search_that_learns_fixes_its_baselines_alone() -> None:
    search = {"kind": "optuna", "num_trials": 3}
    chosen = chosen_of(search=search, baselines=BASELINES)

    assert known_choices(chosen) is None
    assert keys(fixed_choices(chosen)) == keys(baselines(chosen))


def drawn(space: Any, num: int, seed: int = 0) -> list[Choice]:
    """Return what a random search draws from two variants of a space."""
    search = {"kind": "random", "num_trials": num, "seed": seed}
    found = known_choices(chosen_of(space, search=search, variants=VARIANTS))
    assert found is not None
    return found


def test_random_points_of_a_finite_space_are_drawn_without_replacement() -> None:
    every = keys(everything(chosen_of(variants=VARIANTS)))

    found = keys(drawn({**SPACE, "sigma": [0.25, 0.5]}, 24))

    assert len(set(found)) == len(found) == 24
    assert set(found) == set(every)
    assert found != every


@pytest.mark.parametrize("space", [SPACE, CONTINUOUS])
def test_random_points_hang_on_the_seed_and_more_of_them_begin_alike(
    space: Any,
) -> None:
    ten = keys(drawn(space, 10, seed=3))

    assert ten == keys(drawn(space, 10, seed=3))
    assert ten[:4] == keys(drawn(space, 4, seed=3))
    assert ten != keys(drawn(space, 10, seed=4))


def test_random_points_of_a_logarithmic_range_are_uniform_in_the_logarithm() -> None:
    num = 400
    found = drawn(CONTINUOUS, num)

    values = np.array(places(found, "local.sigma"))
    slack = 4 * np.sqrt(0.25 / num)  # four standard errors
    assert values.min() >= 0.01
    assert values.max() <= 1.0
    assert abs(np.mean(values < 0.1) - 0.5) <= slack
    assert abs(np.mean([one.variant == "standard" for one in found]) - 0.5) <= slack


def test_what_is_asked_next_hangs_on_what_was_tried_and_found_alone() -> None:
    space = {**CONTINUOUS, "local.num": [1, 5, 20]}
    first, second = (learning(space, variants=VARIANTS, num_startup=2) for _ in "ab")
    past = asked(lambda: first, 5, near_a_tenth)
    found = [(one, near_a_tenth(one), 1.0) for one in past]

    choice = first.next(set(keys(past)), found)

    assert choice == first.next(set(keys(past)), found)
    assert choice == second.next(set(keys(past)), found)
    worse = [(one, -value, 1.0) for one, value, _ in found]
    assert choice != second.next(set(keys(past)), worse)


def test_a_search_that_is_begun_anew_after_each_trial_asks_for_the_same() -> None:
    space = {**CONTINUOUS, "local.num": [1, 5, 20]}
    kept = learning(space, variants=VARIANTS, num_startup=4)

    through = asked(lambda: kept, 12, near_a_tenth)
    anew = asked(
        lambda: learning(space, variants=VARIANTS, num_startup=4), 12, near_a_tenth
    )

    assert [one.variant for one in through] != ["standard"] * 12
    assert keys(through) == keys(anew)


def test_a_search_that_learns_closes_in_on_what_scores_best() -> None:
    asker = learning(CONTINUOUS, num_startup=8)

    found = [near_a_tenth(one) for one in asked(lambda: asker, 40, near_a_tenth)]

    # A random point is 1.15 off on average, and 32 of them by 1.15 +- 0.12.
    assert np.mean(found[8:]) > -0.8


@pytest.mark.parametrize("against_cost", [False, True])
def test_a_finite_space_is_asked_for_to_its_end_and_no_point_twice(
    against_cost: bool,
) -> None:
    asker = learning(
        {"local.num": [1, 5, 20]}, against_cost=against_cost, variants=VARIANTS
    )

    found = asked(lambda: asker, 99, cost=lambda one: 1 + one.point["local.num"])

    assert len(found) == len(set(keys(found))) == 2 * 2 * 3
    assert asker.next(set(keys(found)), []) is None


def test_what_may_not_be_tried_is_never_asked_for() -> None:
    asker = learning(SPACE, lambda choice: choice.point["local.num"] != 1)

    found = asked(lambda: asker, 99)

    assert len(found) == 2 * 2 * 2
    assert 1 not in places(found, "local.num")


def test_a_continuous_space_is_asked_for_past_what_may_not_be_tried() -> None:
    few = learning(CONTINUOUS, lambda one: one.point["local.sigma"] < 0.05)

    assert len(asked(lambda: few, 9)) == 9
    assert learning(CONTINUOUS, lambda _: False).next(set(), []) is None


def test_a_search_against_cost_looks_for_what_is_cheap() -> None:
    def tried(against_cost: bool) -> list[float]:
        asker = learning(CONTINUOUS, num_startup=8, against_cost=against_cost)
        found = asked(lambda: asker, 30, cost=lambda one: one.point["local.sigma"])
        return places(found[-15:], "local.sigma")

    assert np.median(tried(True)) < 0.05 < np.median(tried(False))


def test_baselines_teach_nothing_as_they_are_no_points_of_the_space() -> None:
    asker = learning(SPACE, num_startup=1)
    past = asked(lambda: asker, 3)
    found = [(one, float(number), 1.0) for number, one in enumerate(past)]
    baseline = (Choice("", "DDS", {"sigma": 0}), 99.0, 0.1)

    choice = asker.next(set(keys(past)), [baseline, *found])

    assert choice == asker.next(set(keys(past)), found)
