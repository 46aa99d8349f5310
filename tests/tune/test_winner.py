from collections.abc import Callable
from typing import Any

import pytest

from tune.objective import AverageCertifiedRadius, CertifiedAccuracy
from tune.trial import Score, Trial
from tune.winner import searched, warning_of, winner_of

MakeTrial = Callable[..., Trial]
ACCURACY = CertifiedAccuracy(radius=0.5)


def scored(value: float) -> Score:
    return Score(value, value - 1, value + 1)


def half(a_trial: MakeTrial, number: int, **changed: Any) -> Trial:
    """Make a trial that certifies every other one of 500 images at radius 0.5."""
    return a_trial(number, [0.6, 0.4] * 250, [True] * 500, **changed)


def test_the_winner_has_the_highest_score_wherever_it_stands(
    a_trial: MakeTrial,
) -> None:
    scores = [50.0, 71.0, 70.9, 3.0]
    trials = [a_trial(i, score=scored(value)) for i, value in enumerate(scores)]

    assert winner_of(trials) == trials[1]
    assert winner_of(trials[::-1]) == trials[1]


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "stopped"},
        {"status": "failed"},
        {"status": "refused", "score": None, "curve": None},
        {"baseline": "DDS"},
    ],
)
def test_who_was_not_searched_to_the_end_cannot_win(
    a_trial: MakeTrial, changed: dict[str, Any]
) -> None:
    best = a_trial(0, **{"score": scored(99.0), **changed})
    other = a_trial(1, score=scored(1.0))

    assert winner_of([best, other]) == other
    assert searched([best, other]) == [other]
    assert winner_of([best]) is None


def test_of_equal_scores_the_cheapest_wins_and_of_equal_costs_the_first(
    a_trial: MakeTrial,
) -> None:
    costs = [5.0, 2.0, 2.0, 9.0]
    trials = [a_trial(i, score=scored(50.0), cost=c) for i, c in enumerate(costs)]
    dear = a_trial(9, score=scored(50.1), cost=99.0)

    assert winner_of(trials) == winner_of(trials[::-1]) == trials[1]
    assert winner_of([*trials, dear]) == dear


def test_a_study_without_trials_has_no_winner() -> None:
    assert winner_of([]) is None


def test_the_warning_tells_by_how_much_the_best_of_equals_seems_better(
    a_trial: MakeTrial,
) -> None:
    trials = [half(a_trial, number) for number in range(3)]

    told = warning_of(trials, trials[0], ACCURACY)

    # 0.8463 standard errors, of 50 % on 500 images: 100 sqrt(0.25 / 499).
    assert "best of 3 settings on 500 images" in told
    assert "by up to 1.9 " in told
    assert "held-out images" in told


def test_settings_that_were_not_searched_to_the_end_make_the_winner_no_luckier(
    a_trial: MakeTrial,
) -> None:
    trials = [half(a_trial, number) for number in range(3)]
    others = [
        half(a_trial, 3, status="stopped"),
        half(a_trial, 4, baseline="DDS"),
        half(a_trial, 5, status="failed", curve=None, score=None),
    ]

    told = warning_of(trials, trials[0], ACCURACY)

    assert warning_of([*trials, *others], trials[0], ACCURACY) == told


def test_the_warning_is_in_the_unit_of_the_objective(a_trial: MakeTrial) -> None:
    trials = [half(a_trial, number) for number in range(3)]
    objective = AverageCertifiedRadius(kind="average_certified_radius")

    told = warning_of(trials, trials[0], objective)

    assert "by up to 0.0038 " in told  # 0.8463 * 0.1 / sqrt(499)


def test_the_best_of_one_setting_is_no_luck(a_trial: MakeTrial) -> None:
    trial = half(a_trial, 0)

    told = warning_of([trial], trial, ACCURACY)

    assert "best of 1 settings" in told
    assert "by up to" not in told
