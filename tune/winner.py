"""Which trial a study recommends, and what its score must not be taken for."""

from collections.abc import Sequence

import numpy as np

from ops.score.optimism import optimism
from tune.objective import Objective
from tune.trial import Trial


def winner_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the searched trial of highest score; of equals the cheapest, then first.

    Args:
        trials: of a study; those that were stopped or failed cannot win, nor can
            baselines, which were not searched.
    """
    finished = searched(trials)
    if not finished:
        return None
    return min(finished, key=lambda one: (-_value(one), one.cost, one.number))


def searched(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials of the search that have all images."""
    return [
        one
        for one in trials
        if one.status == "finished" and one.baseline is None and one.score is not None
    ]


def warning_of(trials: Sequence[Trial], winner: Trial, objective: Objective) -> str:
    """Return what a reader must know of the best of several scores.

    Args:
        trials: of a study.
        winner: the best of them.
        objective: of the study.
    """
    assert winner.curve is not None  # who has a score has certificates
    num, images = len(searched(trials)), winner.curve.num_images
    excess = optimism(num, objective.standard_error(winner.curve))
    by = ""
    if 0 < excess < np.inf:
        by = f", by up to {excess:.2g} if all were equally good"
    return (
        f"Winner's curse: the best of {num} settings on {images:,} images scores too "
        f"high{by}. Quote what `diffsmooth tune --confirm` finds on held-out images."
    )


def _value(trial: Trial) -> float:
    assert trial.score is not None  # only those are compared
    return -np.inf if np.isnan(trial.score.value) else trial.score.value
