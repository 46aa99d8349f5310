"""The files that say what a study found."""

import csv
import io
import re
from collections.abc import Sequence

from tune.budget_table import (
    budget_csv,
    budget_latex,
    budget_markdown,
    budget_radii,
    budget_rows,
)
from tune.figures import draw_ablation, draw_pareto, pareto_front
from tune.objective import radius_of
from tune.paired import compare, paired_csv, paired_lines
from tune.study import Study
from tune.trial import Trial
from tune.winner import searched, warning_of, winner_of

_BEST = 10
"""Trials that the summary lists."""


def study_files(
    trials: Sequence[Trial], study: Study, promise: str
) -> dict[str, bytes]:
    """Return the report of a study, by name.

    Args:
        trials: all of them, by number.
        study: what was searched, and for what.
        promise: what each certificate rests on, in a sentence.
    """
    files: dict[str, str | bytes] = {"trials.csv": trials_csv(trials)}
    rows, radii = budget_rows(trials), budget_radii(trials)
    if rows:
        files["budget.md"] = budget_markdown(rows, radii, promise)
        files["budget.tex"] = budget_latex(rows, radii, promise)
        files["budget.csv"] = budget_csv(rows, radii)
    winner = winner_of(trials)
    if winner is not None:
        found = compare(trials, winner, radius_of(study.objective))
        files["paired.csv"] = paired_csv(found)
        files |= _pictures(trials, study)
    files["study.md"] = study_markdown(trials, study, promise)
    return {
        name: one.encode() if isinstance(one, str) else one
        for name, one in files.items()
    }


def _pictures(trials: Sequence[Trial], study: Study) -> dict[str, bytes]:
    drawn = {"pareto": draw_pareto(trials, unit_of(study), study.objective.name)}
    for variant in study.variants or {"": {}}:
        if any(one.setting.variant == variant for one in searched(trials)):
            name = f"ablation_{variant}" if variant else "ablation"
            drawn[re.sub(r"[^\w.-]+", "_", name)] = draw_ablation(trials, variant)
    return {
        f"{name}.{kind}": picture
        for name, pictures in drawn.items()
        for kind, picture in pictures.items()
    }


def unit_of(study: Study) -> str:
    """Return in what a trial's cost is told.

    Args:
        study: whose budget may say.
    """
    unit = study.budget.unit if study.budget else "classifier_calls"
    return {"flops": "FLOPs", "seconds": "s", "classifier_calls": "classifier calls"}[
        unit
    ]


def study_markdown(trials: Sequence[Trial], study: Study, promise: str) -> str:
    """Return what a study found, for people to read.

    Args:
        trials: all of them, by number.
        study: what was searched, and for what.
        promise: what each certificate rests on, in a sentence.
    """
    lines = [f"# {study.objective.name}", "", promise, "", _counts(trials), ""]
    winner = winner_of(trials)
    if winner is None:
        lines += ["No trial has all images, so there is no winner."]
        return "\n".join(lines) + "\n"
    ordered = sorted(searched(trials), key=lambda one: (-_score(one), one.cost))
    lines += [
        f"| trial | setting | {study.objective.name} | cost, {unit_of(study)} |",
        "| ---: | --- | ---: | ---: |",
        *(_line(one) for one in ordered[:_BEST]),
        "",
        warning_of(trials, winner, study.objective),
        "",
        *paired_lines(
            compare(trials, winner, radius_of(study.objective)),
            winner,
            radius_of(study.objective),
        ),
        "",
        f"Pareto front of score against cost: {_front(trials)}.",
    ]
    return "\n".join(lines) + "\n"


def _front(trials: Sequence[Trial]) -> str:
    front = pareto_front(trials)
    return "; ".join(f"trial {one.number} ({one.name})" for one in front)


def _counts(trials: Sequence[Trial]) -> str:
    names = ("finished", "stopped", "refused", "failed")
    counts = {name: sum(one.status == name for one in trials) for name in names}
    told = ", ".join(f"{num} {name}" for name, num in counts.items() if num)
    refused = [one for one in trials if one.status in ("refused", "failed")]
    why = "".join(f"\n* trial {one.number}: {one.reason}" for one in refused[:_BEST])
    return f"{len(trials)} trials: {told}.{why}"


def _line(trial: Trial) -> str:
    score = trial.score
    assert score is not None  # only those with a score are listed
    return (
        f"| {trial.number} | {trial.setting.name} | {score.value:.4g} "
        f"[{score.low:.4g}, {score.high:.4g}] | {trial.cost:.4g} |"
    )


def _score(trial: Trial) -> float:
    assert trial.score is not None  # only those with a score are listed
    return trial.score.value


def trials_csv(trials: Sequence[Trial]) -> str:
    """Return every trial as a line, with its settings, score and cost.

    Args:
        trials: all of them, by number.
    """
    others = sorted({name for one in trials for name in one.setting.others})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("trial", "status", "variant", "baseline", "sigma", "local_sigma", "m", "N")
    scores = ("images", "score", "low", "high", "cost", "reason")
    writer.writerow([*names, *others, *scores])
    for one in trials:
        setting, score = one.setting, one.score
        writer.writerow(
            [
                *(one.number, one.status, setting.variant, one.baseline or ""),
                *(setting.sigma, setting.local_sigma),
                *(setting.num_local, setting.num_estimate),
                *(setting.others.get(name, "") for name in others),
                one.curve.num_images if one.curve else 0,
                *((score.value, score.low, score.high) if score else ("", "", "")),
                *(one.cost, one.reason),
            ]
        )
    return text.getvalue()


def promise_of(trials: Sequence[Trial], dataset: str, num_images: int) -> str:
    """Return what each certificate of a study rests on.

    Args:
        trials: all of them.
        dataset: name of the data set.
        num_images: that the study tunes on.
    """
    curves = [one.curve for one in trials if one.curve is not None]
    rules = sorted({curve.rule for curve in curves})
    promised = sorted({curve.failure_probability for curve in curves})
    listed = " and ".join(f"{chance:g}" for chance in promised)
    return (
        f"{num_images:,} images of {dataset}, rule {' and '.join(rules) or 'none'}, "
        f"failure probability {listed or 'none'} per image and trial."
    )
