"""The failure probability of a foreign log, told or read off its largest radii."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ops.certify.clopper_pearson import certified_quantile, largest_radius
from pipelines.log_line import LogRow

USUAL = (0.1, 0.05, 0.01, 0.005, 0.001, 0.0001)
"""Failure probabilities that are tried."""

FEWEST_UNANIMOUS = 3
"""Images with all votes that must be there before one of them is believed."""

_VOTES_LOST = 8
"""The radii of so many lost votes and fewer stand apart in print."""

_ROUNDING = 1e-6
"""Slack for programs that computed the radius in float32."""


@dataclass(frozen=True)
class Promise:
    """What the certificates of a log promise, and how that is known."""

    failure_probability: float
    """Chance that one certificate is wrong, in ``(0, 1)``."""

    found: Literal["given", "detected"]
    """Whether it was told or read off the radii."""

    num_unanimous: int
    """Images whose radius is that of all votes."""

    explains_radii: bool
    """Whether each of the largest radii is one that some number of votes gives."""

    @property
    def is_plausible(self) -> bool:
        """Whether images have all votes, and others nearly all, as is usual."""
        return self.explains_radii and self.num_unanimous > 0


@dataclass(frozen=True)
class Draws:
    """The noise of a log: how strong and how often."""

    sigma: float
    """Std of the certified noise, in units of [0, 1] pixels."""

    num_estimate: int
    """Votes that each certificate rests on."""


def promise_of(
    rows: Sequence[LogRow], draws: Draws, given: float | None, name: str
) -> Promise:
    """Return the failure probability of a log's certificates.

    With sigma, the number of votes and the failure probability, a certificate can have
    one radius per number of votes lost. The radii of the fewest lost votes lie far
    enough apart that printed ones tell which probability made them.

    Args:
        rows: of the log.
        draws: what was voted on.
        given: failure probability, or ``None`` to detect it among :data:`USUAL`.
        name: of the log, for errors.

    Raises:
        ValueError: a radius is larger than any votes can certify, or there is nothing
            given and not exactly one of the usual probabilities explains the radii.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, section 3.2.2: the largest
        radius is ``sigma Phi^-1(failure_probability ** (1 / N))``.
    """
    if given is not None:
        _refuse_impossible(rows, draws, given, name)
        return _judged(rows, draws, given, "given")
    fitting = [
        promise
        for usual in USUAL
        if (promise := _judged(rows, draws, usual, "detected")).explains_radii
        and promise.num_unanimous >= FEWEST_UNANIMOUS
    ]
    if len(fitting) == 1:
        return fitting[0]
    largest = max(rows, key=lambda row: row.radius)
    caps = [f"{_cap(draws, usual):.4g} at {usual:g}" for usual in USUAL]
    fit = [f"{promise.failure_probability:g}" for promise in fitting]
    raise ValueError(
        f"import needs the failure probability; {name} does not tell it. Of "
        f"{draws.num_estimate:,} votes at sigma {draws.sigma:g} the largest radius is "
        f"{', '.join(caps)}; line {largest.line} has {largest.radius:g}. At least "
        f"{FEWEST_UNANIMOUS} images should have the largest, and those below it fit, "
        f"for one of these; they do for {' and '.join(fit) or 'none'}. Check sigma and "
        f"num_estimate, or add --set failure_probability=..."
    )


def _judged(
    rows: Sequence[LogRow],
    draws: Draws,
    failure_probability: float,
    found: Literal["given", "detected"],
) -> Promise:
    """Compare printed radii with those that the fewest lost votes give.

    Programs round to the nearest; our own logs round down, hence a whole unit upwards.
    """
    certified = [(row.radius, row.unit) for row in rows if row.radius > 0]
    radii, units = np.array(certified).reshape(-1, 2, 1).swapaxes(0, 1)
    possible = _largest_radii(draws, failure_probability)
    low, high = radii - units / 2 - _ROUNDING, radii + units + _ROUNDING
    same = (low <= possible) & (possible < high)
    beyond = low[:, 0] > possible[-1]
    return Promise(
        failure_probability,
        found,
        num_unanimous=int(same[:, 0].sum()),
        explains_radii=bool(same[beyond].any(axis=1).all()),
    )


def _largest_radii(draws: Draws, failure_probability: float) -> np.ndarray:
    """Return the radii of no vote lost, one, two, ..., falling, none below 0."""
    lost = np.arange(min(_VOTES_LOST, draws.num_estimate) + 1)
    quantile = certified_quantile(
        lost,
        np.full_like(lost, draws.num_estimate),
        failure_probability=failure_probability,
    )
    return draws.sigma * np.maximum(quantile, 0.0)


def _refuse_impossible(
    rows: Sequence[LogRow], draws: Draws, failure_probability: float, name: str
) -> None:
    cap = _cap(draws, failure_probability)
    for row in rows:
        if row.radius - row.unit / 2 - _ROUNDING > cap:
            raise ValueError(
                f"import needs radii that votes can certify, up to {cap:.4g} at sigma "
                f"{draws.sigma:g} with {draws.num_estimate:,} votes and failure "
                f"probability {failure_probability:g}; {name}:{row.line} has "
                f"{row.radius:g}. Check sigma, num_estimate and failure_probability."
            )


def _cap(draws: Draws, failure_probability: float) -> float:
    return largest_radius(draws.sigma, draws.num_estimate, failure_probability)
