"""Virtual images that vote as those of a published log seem to have voted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from ops.certify.clopper_pearson import certified_quantile

NUM_IMAGES = 50_000
LOG_VOTES, LOG_ALPHA = 100_000, 0.01
JITTER = 0.05
"""Std of the noise on each quantile, which stands for images between those logged."""

_JUST_ABOVE = 0.5
"""Quantiles over which the density just above a half is averaged."""


@dataclass(frozen=True)
class Population:
    """Images by the chance that their vote is not for their class."""

    name: str
    sigma: float
    step: float
    """Between the radii of the data set's table, in [0, 1] pixels."""

    failure_rate: np.ndarray
    right: np.ndarray
    """bool; whether the class is the label."""


def population(log: Path, name: str, sigma: float, step: float) -> Population:
    """Return images like those of a log.

    Radii are turned into failures among the log's votes with the failure probability
    that its cap shows, failures into rates by a draw from Jeffreys' posterior, with a
    little noise on the quantiles. A log hides the rate of an image that abstained: the
    density just above one half is continued below it.

    Args:
        log: of Cohen et al.
        name: what to call it.
        sigma: std of the noise, in [0, 1] pixels.
        step: between the radii of the table.
    """
    rows, rng = pd.read_csv(log, sep="\t"), np.random.default_rng(0)
    drawn = rows.iloc[rng.integers(len(rows), size=NUM_IMAGES)]
    abstained = drawn["predict"].to_numpy() < 0
    failures = _failures(drawn["radius"].to_numpy() / sigma)
    rate = rng.beta(failures + 0.5, LOG_VOTES - failures + 0.5)
    quantile = -ndtri(rate) + JITTER * rng.standard_normal(NUM_IMAGES)
    known = quantile[~abstained]
    share = (known < _JUST_ABOVE).sum() / NUM_IMAGES / _JUST_ABOVE
    width = abstained.mean() / share if abstained.any() else 0.0
    hidden = -width * rng.random(NUM_IMAGES)
    quantile = np.where(abstained, hidden, quantile)
    right = (drawn["predict"] == drawn["label"]).to_numpy() & ~abstained
    return Population(name, sigma, step, ndtr(-quantile), right | abstained)


def _failures(quantile: np.ndarray) -> np.ndarray:
    """Return how many failures give a certified quantile, in ``[0, LOG_VOTES / 2]``."""
    counts = np.arange(LOG_VOTES // 2 + 1)
    certified = certified_quantile(
        counts, np.full_like(counts, LOG_VOTES), failure_probability=LOG_ALPHA
    )
    nearest = np.searchsorted(-certified, -quantile)
    return np.minimum(nearest, LOG_VOTES // 2)
