import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tune.report import promise_of, study_files, study_markdown, trials_csv, unit_of
from tune.study import Study
from tune.trial import Score, Trial

MakeTrial = Callable[..., Trial]
PROMISE = "40 images of digits."


def study_of(**fields: Any) -> Study:
    """Return a small study with some fields set."""
    return Study.model_validate(
        {
            "space": {"local.sigma": [0.1, 0.2]},
            "objective": {"kind": "certified_accuracy", "radius": 0.5},
            "held_out": {"split": "test"},
            **fields,
        }
    )


def certifying(a_trial: MakeTrial, number: int, num: int, **changed: Any) -> Trial:
    """Make a trial that certifies the first so many of 40 images at radius 0.5."""
    radii = [0.6] * num + [0.4] * (40 - num)
    score = Score(100 * num / 40, 1.0, 99.0)
    fields = {"local_sigma": 0.1 * (1 + number), "score": score, **changed}
    return a_trial(number, radii, [True] * 40, **fields)


@pytest.fixture
def all_kinds(a_trial: MakeTrial) -> list[Trial]:
    """Return trials of every status, one with a reason that has commas and lines."""
    return [
        certifying(a_trial, 0, 20, baseline="DDS"),
        certifying(a_trial, 1, 30, others={"purifier": "none, at all"}),
        certifying(a_trial, 2, 39, status="stopped"),
        a_trial(3, status="refused", reason='a, "b"\nc', score=None, curve=None),
        a_trial(4, status="failed", reason="Broke.", score=None, curve=None),
        certifying(a_trial, 5, 25, others={"classifier": "big"}, cost=2.5),
    ]


def test_csv_has_a_line_per_trial_with_its_settings_score_and_cost(
    all_kinds: list[Trial],
) -> None:
    lines = list(csv.DictReader(io.StringIO(trials_csv(all_kinds))))

    assert [int(line["trial"]) for line in lines] == list(range(6))
    assert [line["status"] for line in lines] == [one.status for one in all_kinds]
    assert lines[5] == {
        **{"trial": "5", "status": "finished", "variant": "", "baseline": ""},
        **{"sigma": "0.25", "local_sigma": str(0.1 * 6), "m": "5", "N": "10000"},
        **{"classifier": "big", "purifier": "", "images": "40"},
        **{"score": "62.5", "low": "1.0", "high": "99.0", "cost": "2.5", "reason": ""},
    }
    assert lines[0]["baseline"] == "DDS"
    assert lines[1]["purifier"] == "none, at all"


def test_csv_of_a_trial_without_certificates_has_its_reason_and_no_score(
    all_kinds: list[Trial],
) -> None:
    line = list(csv.DictReader(io.StringIO(trials_csv(all_kinds))))[3]

    assert line["reason"] == 'a, "b"\nc'
    assert [line[name] for name in ("images", "score", "low", "high")] == [
        *("0", "", "", ""),
    ]


def test_csv_of_no_trial_is_its_heading() -> None:
    (line,) = trials_csv([]).splitlines()

    assert line.startswith("trial,status,")


@pytest.mark.parametrize("statuses", [(), ("stopped",), ("failed", "refused")])
def test_a_study_without_a_finished_trial_has_no_winner_and_says_so(
    a_trial: MakeTrial, statuses: tuple[str, ...]
) -> None:
    trials = [
        certifying(a_trial, i, 30, status=status, reason=f"Because {i}.")
        for i, status in enumerate(statuses)
    ]

    found = study_files(trials, study_of(), PROMISE)

    assert set(found) == {"trials.csv", "study.md"}
    assert len(found["trials.csv"].splitlines()) == 1 + len(statuses)
    assert "there is no winner" in found["study.md"].decode()
    assert "Winner's curse" not in found["study.md"].decode()


def test_summary_counts_trials_and_tells_why_some_were_not_tried(
    all_kinds: list[Trial],
) -> None:
    told = study_markdown(all_kinds, study_of(), PROMISE)

    assert "6 trials: 3 finished, 1 stopped, 1 refused, 1 failed." in told
    assert "\n2 trials: 2 finished.\n" in study_markdown(
        [all_kinds[1], all_kinds[5]], study_of(), PROMISE
    )
    assert "* trial 4: Broke." in told
    assert told.startswith("# certified accuracy at 0.5, percent\n\n" + PROMISE)


def test_summary_lists_searched_trials_from_the_best_with_the_warning_below(
    all_kinds: list[Trial],
) -> None:
    lines = study_markdown(all_kinds[::-1], study_of(), PROMISE).splitlines()

    listed = [line for line in lines if line.startswith("| ") and "sigma" in line]
    assert [line.split(" | ")[0] for line in listed] == ["| 1", "| 5"]
    assert "75 [1, 99]" in listed[0]
    assert listed[1].endswith("| 62.5 [1, 99] | 2.5 |")
    assert any("Winner's curse: the best of 2 settings on 40" in one for one in lines)
    assert any("trial 1 (sigma 0.25, local 0.2" in one for one in lines)


def test_the_same_trials_give_the_same_bytes(a_trial: MakeTrial) -> None:
    radii = np.random.default_rng(0).uniform(0, 0.8, (3, 12))
    trials = [
        a_trial(i, own, [True] * 12, local_sigma=0.1 * (1 + i), cost=1.0 + i)
        for i, own in enumerate(radii)
    ]

    found = study_files(trials, study_of(), PROMISE)

    assert found == study_files(list(trials), study_of(), PROMISE)
    texts = ["trials.csv", "budget.csv", "budget.md", "budget.tex", "paired.csv"]
    pictures = [f"{n}.{k}" for n in ("pareto", "ablation") for k in ("svg", "png")]
    assert {*texts, *pictures, "study.md"} <= set(found)
    assert all(found.values())


@pytest.mark.parametrize(
    ("budget", "unit"),
    [
        (None, "classifier calls"),
        ({"per_image": 1.0}, "FLOPs"),
        ({"per_image": 1.0, "unit": "seconds"}, "s"),
        ({"per_image": 1.0, "unit": "classifier_calls"}, "classifier calls"),
    ],
)
def test_costs_are_told_in_the_unit_of_the_budget(budget: Any, unit: str) -> None:
    assert unit_of(study_of(budget=budget)) == unit


def test_the_promise_names_what_every_certificate_rests_on(a_trial: MakeTrial) -> None:
    refused = a_trial(1, status="refused", curve=None, score=None)

    told = promise_of([a_trial(0), refused], "digits", 1_797)

    assert told == (
        "1,797 images of digits, rule fixed, "
        "failure probability 0.001 per image and trial."
    )
    assert "rule none, failure probability none" in promise_of([refused], "digits", 4)
