"""What a study looks for, with an interval over the choice of images."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat
from scipy.stats import t

from ops.score.certified_accuracy import binomial_interval, num_certified
from pipelines.curve import Curve
from pipelines.part import Part
from tune.trial import Score

CONFIDENCE = 0.95


class CertifiedAccuracy(Part):
    """Share of the images that are certified for their class at one radius."""

    kind: Literal["certified_accuracy"] = "certified_accuracy"

    radius: NonNegativeFloat
    """An l2 distance in [0, 1] pixels."""

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return f"certified accuracy at {self.radius:g}, percent"

    def out_of_reach(self, largest: float) -> bool:
        """Return whether no image can count."""
        return largest < self.radius

    def score(self, curve: Curve) -> Score:
        """Return percent, with the exact binomial interval."""
        counted = num_certified(curve.correct, curve.radius, np.array([self.radius]))
        low, high = binomial_interval(counted, curve.num_images, confidence=CONFIDENCE)
        percent = 100 * counted[0] / curve.num_images
        return Score(float(percent), float(low[0]), float(high[0]))

    def standard_error(self, curve: Curve) -> float:
        """Return the standard error of the score, in percent."""
        return standard_error(100.0 * (curve.correct & (curve.radius >= self.radius)))


class MeanCertifiedAccuracy(Part):
    """Certified accuracy, averaged over some radii."""

    kind: Literal["mean_certified_accuracy"]

    radii: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)]
    """l2 distances in [0, 1] pixels."""

    @property
    def name(self) -> str:
        """What a reader calls it."""
        listed = ", ".join(f"{radius:g}" for radius in self.radii)
        return f"mean certified accuracy at {listed}, percent"

    def out_of_reach(self, largest: float) -> bool:
        """Return whether no image can count at any radius."""
        return largest < min(self.radii)

    def score(self, curve: Curve) -> Score:
        """Return percent, with Student's interval over images."""
        return mean_score(self._shares(curve))

    def standard_error(self, curve: Curve) -> float:
        """Return the standard error of the score, in percent."""
        return standard_error(self._shares(curve))

    def _shares(self, curve: Curve) -> np.ndarray:
        reached = curve.radius[:, None] >= np.array(self.radii)
        return 100 * (reached & curve.correct[:, None]).mean(axis=1)


class AverageCertifiedRadius(Part):
    """Mean radius over all images, where a wrong class has radius 0.

    It grows with N and depends on the rule, hence compares settings of one rule only.
    """

    kind: Literal["average_certified_radius"]

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return "average certified radius"

    def out_of_reach(self, largest: float) -> bool:
        """Return whether no image can count: never, as some radius can be reached."""
        return False

    def score(self, curve: Curve) -> Score:
        """Return an l2 distance in [0, 1] pixels, with Student's interval."""
        return mean_score(curve.radius * curve.correct)

    def standard_error(self, curve: Curve) -> float:
        """Return the standard error of the score, in [0, 1] pixels."""
        return standard_error(curve.radius * curve.correct)


Objective = Annotated[
    CertifiedAccuracy | MeanCertifiedAccuracy | AverageCertifiedRadius,
    Field(discriminator="kind"),
]
"""All are better when larger."""


def mean_score(values: np.ndarray) -> Score:
    """Return the mean of independent values with Student's interval.

    Args:
        values: one per image.

    Returns:
        The interval is the mean alone where all values agree, and reaches to infinity
        for one image.

    Source:
        Student 1908, Biometrika 6(1); close where there are some dozens of images.
    """
    mean, num = float(np.mean(values)), len(values)
    if num == 1:
        return Score(mean, -np.inf, np.inf)
    half = float(t.ppf((1 + CONFIDENCE) / 2, num - 1)) * standard_error(values)
    return Score(mean, mean - half, mean + half)


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of the mean of independent values.

    Args:
        values: one per image; of one alone, it is infinite.
    """
    if len(values) == 1:
        return np.inf
    return float(np.std(values, ddof=1)) / np.sqrt(len(values))


def radius_of(objective: Objective) -> float:
    """Return the radius at which two settings are compared image by image.

    Args:
        objective: of a mean over radii, the middle one; of the average radius, 0.
    """
    if isinstance(objective, CertifiedAccuracy):
        return objective.radius
    if isinstance(objective, MeanCertifiedAccuracy):
        ordered = sorted(objective.radii)
        return ordered[len(ordered) // 2]
    return 0.0
