"""One certified data set at one sigma, or by a cascade, and the numbers it gives."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ops.certify.clopper_pearson import largest_radius
from ops.score.certified_accuracy import (
    accuracy,
    average_certified_radius,
    certified_correct,
    num_certified,
)
from pipelines.claims import Claim, failure_probability_of
from pipelines.reading import radius_step
from pipelines.row_facts import NOTHING_KNOWN, RowFacts

CASCADE = "cascade"
"""What tables call certificates of all sigmas together."""

FIXED = "fixed"
"""Rule of certificates that rest on one look at all votes."""

IMPORTED = "imported"
"""Rule of certificates that another program made and a log handed down."""


@dataclass(frozen=True)
class Curve:
    """The certificates of one run at one sigma, with what they rest on.

    Or by a cascade of all its sigmas, which is one more classifier.
    """

    run: str
    """Name of the run, as a reader should see it."""

    sigma: float | None
    """Std of the certified noise, in units of [0, 1] pixels; ``None``: a cascade."""

    certificates: pa.Table
    """One row per image."""

    dataset: str
    """Name of the data set."""

    num_estimate: int
    """Most votes that one certificate may rest on."""

    failure_probability: float
    """Chance that one certificate is wrong, in ``(0, 1)``."""

    rule: str
    """How votes became certificates."""

    seconds: Mapping[str, float]
    """Seconds of voting per image key; an image without votes is not in it."""

    remark: str = ""
    """What a reader must know of these certificates beyond their settings."""

    radii: tuple[float, ...] = ()
    """Radii that the rule certifies, l2 distances in [0, 1] pixels, ascending; empty if
    it certifies any."""

    table_sha256: str | None = None
    """Of the table that the rule looked up, if it did."""

    claims: Sequence[Claim] = ()
    """All that was ever claimed of the same votes, these certificates among it."""

    facts: RowFacts = NOTHING_KNOWN
    """What tables say of the run beside its numbers."""

    radii_shown: tuple[float, ...] = ()
    """Radii that the recipe wants in tables, l2 distances in [0, 1] pixels; empty if it
    leaves them to the data set's name."""

    stages: tuple["Curve", ...] = ()
    """Of a cascade: the run at each of its sigmas."""

    @property
    def name(self) -> str:
        """What tells it from the others of its run: its sigma, or ``cascade``."""
        return CASCADE if self.sigma is None else f"{self.sigma:g}"

    @property
    def place(self) -> str:
        """Where in its run it stands, for a sentence: ``at sigma 0.5``."""
        return "as a cascade" if self.sigma is None else f"at sigma {self.sigma:g}"

    @property
    def num_images(self) -> int:
        """Images asked for, certified or not."""
        return self.certificates.num_rows

    @property
    def num_claims(self) -> int:
        """How often the same votes were read, these certificates among it."""
        return max(1, len(self.claims))

    @property
    def failure_probability_of_all_claims(self) -> float:
        """Chance at most that one of an image's claims is wrong; may pass 1."""
        if not self.claims:
            return self.failure_probability
        return failure_probability_of(self.claims)

    @property
    def largest_radius(self) -> float:
        """Radius of an image all of whose votes agree."""
        if self.sigma is None:
            return max(stage.largest_radius for stage in self.stages)
        if self.radii:
            return self.radii[-1]
        return largest_radius(self.sigma, self.num_estimate, self.failure_probability)

    @property
    def mean_votes(self) -> float:
        """Votes that a certificate rests on, on average."""
        return float(np.mean(self.column("num_draws")))

    @property
    def radius(self) -> np.ndarray:
        """Certified radius of every image, an l2 distance in [0, 1] pixels."""
        return self.column("radius")

    @property
    def correct(self) -> np.ndarray:
        """Whether each image has a certificate for its true class."""
        names = ("label", "guessed_class", "abstained")
        return certified_correct(*(self.column(name) for name in names))

    def column(self, name: str) -> np.ndarray:
        """Return one column of the certificates, by its name."""
        return self.certificates.column(name).to_numpy()

    def accuracy_of(self, name: str) -> float | None:
        """Return the share of images whose class in a column is right.

        Args:
            name: column of classes; null counts as wrong.

        Returns:
            A fraction in ``[0, 1]``; ``None`` where no image has a class.
        """
        column = self.certificates.column(name)
        if column.null_count == len(column):
            return None
        predicted = pc.fill_null(column, -1).to_numpy()
        return accuracy(self.column("label"), predicted)


def by_run(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Group curves by their run, the runs by name and their curves by sigma.

    A cascade comes after the sigmas of its run.
    """
    ordered = sorted(curves, key=lambda curve: (curve.run, curve.sigma or math.inf))
    return {run: list(own) for run, own in groupby(ordered, lambda curve: curve.run)}


def single(curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves of one sigma each, without cascades."""
    return [curve for curve in curves if curve.sigma is not None]


def radius_grid(dataset: str, largest: float) -> tuple[float, ...]:
    """Return the radii of the table: all that can be reached, and the next one.

    Args:
        dataset: name of the data set; ImageNet steps by 0.5, others by 0.25.
        largest: largest radius any image can have, an l2 distance in [0, 1] pixels.

    Returns:
        Radii from 0 upwards; only the last is above ``largest``.
    """
    step = radius_step(dataset)
    return tuple(step * index for index in range(math.floor(largest / step) + 2))


def table_radii(curves: Sequence[Curve]) -> tuple[float, ...]:
    """Return the radii of the table that shows all of these curves.

    Those that recipes name, those that a rule certifies, and for curves whose recipe
    names none those of ``radius_grid``.
    """
    named = {r for curve in curves for r in (*curve.radii, *_shown(curve))}
    silent = [curve for curve in curves if not _shown(curve)]
    if silent:
        largest = max(curve.largest_radius for curve in silent)
        named |= {*radius_grid(silent[0].dataset, largest)}
    return tuple(sorted(named))


def _shown(curve: Curve) -> tuple[float, ...]:
    """Return the radii that a recipe names; those of a cascade are its stages'."""
    return tuple(r for one in (curve, *curve.stages) for r in one.radii_shown)


def radius_name(radius: float) -> str:
    """Return a radius as a heading has it: two digits, or as many as it needs."""
    return f"{radius:.2f}" if round(radius, 2) == radius else f"{radius:g}"


def metrics(curve: Curve) -> dict[str, float]:
    """Return the numbers of one curve under the names they are tracked by.

    Args:
        curve: the certificates of one sigma.

    Returns:
        Fractions in ``[0, 1]``, and ``acr``, an l2 distance in [0, 1] pixels. Radii out
        of reach and accuracies that were not measured are left out.
    """
    reachable = [r for r in table_radii([curve]) if r <= curve.largest_radius]
    certified = num_certified(curve.correct, curve.radius, np.array(reachable))
    shares = {
        f"certified_accuracy/r_{radius_name(radius)}": float(count) / curve.num_images
        for radius, count in zip(reachable, certified, strict=True)
    }
    others = {
        "acr": average_certified_radius(curve.correct, curve.radius),
        "abstention_rate": float(curve.column("abstained").mean()),
        "clean_accuracy": curve.accuracy_of("clean_class"),
        "smoothed_accuracy": curve.accuracy_of("smoothed_class"),
    }
    if curve.table_sha256 is not None:
        others["mean_votes"] = curve.mean_votes
    measured = {name: value for name, value in others.items() if value is not None}
    return shares | measured
