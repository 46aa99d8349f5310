"""Certify a cascade of smoothed classifiers, one at each of several noise levels."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float64
from pydantic import BaseModel, Field, PositiveFloat, model_validator

from ops.certify.clopper_pearson import (
    certified_quantile,
    failure_quantile,
    lower_bound_probability,
    upper_bound_probability,
)
from ops.columns import Batch, Columns, Worker


class Cascade(BaseModel, frozen=True, extra="forbid"):
    """Ask the largest sigma first; the first that is sure of a class decides."""

    kind: Literal["cascade"] = "cascade"

    family_wise: bool = False
    """Whether all images together share the failure probability."""

    stages: tuple[PositiveFloat, ...] = ()
    """Its sigmas in [0, 1] pixels, largest first; follows from the recipe's sigma."""

    @model_validator(mode="after")
    def _several_stages(self) -> "Cascade":
        if len(self.stages) < 2:
            asked = f"{self.stages[0]:g} alone" if self.stages else "none"
            raise ValueError(
                f"rule cascade needs two sigmas or more in one run; it has {asked}. "
                f"List them in sigma; to take each by itself, set rule.kind to fixed."
            )
        return self


class CertifyCascade(BaseModel, frozen=True, extra="forbid"):
    """Certify what a cascade says from the votes of all its stages.

    The cascade: stages from the largest sigma down; a stage answers if one class has a
    probability ``p`` above one half under its noise, and the first that answers
    decides. Within ``sigma Phi^-1(p)`` of an image its stage gives the same answer;
    within ``sigma Phi^-1(1 - p)``, where ``p`` is the largest probability of any class
    and at most one half, its stage stays silent. The radius of the cascade is the
    least of these, of the stage that decides and of all before it.

    Here a stage answers if the lower bound of its guessed class is above one half, and
    is silent if the upper bound of its likeliest class is below. Where neither is sure,
    or every stage is silent, the cascade abstains.

    Every bound holds at the failure probability over the number ``S`` of stages:

    * Lower, of the class guessed from votes of its own. A copy without a class failed.
    * Upper, of ``p``, from the largest count ``m`` of any class. The count of the class
      that is truly likeliest is at most ``m`` and the bound grows with the count, so
      nothing is shared out over classes. A copy without a class may be of any.

    A certificate is then wrong as rarely as promised. Let stage ``k`` be the first, of
    ``S``, that truly answers, and ``j`` the stage that gives the true radius. What is
    wrong is one of these:

    * One of the ``k - 1`` stages before ``k`` answers: its lower bound failed, as no
      class of it passes one half.
    * Stage ``k`` decides for another class, so that its lower bound failed; or for the
      right class with too large a radius, so that the bound of ``j`` failed. Guesses
      and stages are independent, so given the guess both are as rare as one bound.
    * Stage ``k`` is silent, so that its upper bound failed, and a later one answers:
      only if ``k < S``.

    These are at most ``S`` bounds. Where no stage truly answers, only the first can
    happen, at ``S`` stages.

    Source:
        Jeong and Shin 2023, arXiv:2310.16779, cascaded randomized smoothing. Differs:
        exact binomial bounds, with the failure probability split over stages.
    """

    reads: ClassVar[Columns] = ("num_votes", "num_most", "num_draws")
    """Each ``row stage``: votes of the guessed class; the most that any class may have,
    votes for no class and votes that were lost among them; copies asked for."""

    writes: ClassVar[Columns] = (
        "stage",
        "decided",
        "radius",
        "probability_lower",
        "probability_upper",
    )
    """``stage`` is the place, in ``sigmas``, of the stage that was asked last;
    ``decided`` says whether it answers. Bounds are ``row stage``."""

    sigmas: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    """Std of the noise of each stage, in units of [0, 1] pixels, in any order."""

    failure_probability: Annotated[float, Field(gt=0, lt=1)]
    """Chance that one row's certificate is wrong."""

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Return the certifying function; there is nothing to load."""
        return self._certify

    def _certify(self, batch: Batch) -> Batch:
        """Certify rows of counts; a row whose stages are unsure has radius 0."""
        shape = batch["num_draws"].shape
        votes, most, draws = (batch[name].ravel() for name in self.reads)
        share = {"failure_probability": self.failure_probability / len(self.sigmas)}
        lower = lower_bound_probability(votes, draws, **share)
        upper = upper_bound_probability(most, draws, **share)
        quantile = certified_quantile(draws - votes, draws, **share)
        answers, silent = lower > 0.5, upper < 0.5
        reach = np.where(answers, quantile, failure_quantile(upper))
        reach = np.where(answers | silent, np.maximum(reach, 0.0), 0.0)
        stage, decided, radius = self._decide(
            answers.reshape(shape),
            silent.reshape(shape),
            reach.reshape(shape) * np.array(self.sigmas),
        )
        return {
            "stage": stage,
            "decided": decided,
            "radius": np.where(decided, radius, 0.0),
            "probability_lower": lower.reshape(shape),
            "probability_upper": upper.reshape(shape),
        }

    def _decide(
        self,
        answers: Bool[np.ndarray, "row stage"],
        silent: Bool[np.ndarray, "row stage"],
        reach: Float64[np.ndarray, "row stage"],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the stage asked last, whether it answers, and the least reach so far.

        Args:
            answers: whether a stage surely answers.
            silent: whether a stage surely does not.
            reach: how far that holds, l2 distances in [0, 1] pixels.
        """
        order = np.argsort(self.sigmas)[::-1]
        ends = answers | ~silent
        ends[:, order[-1]] = True
        last = ends[:, order].argmax(axis=1)
        asked = np.arange(len(order)) <= last[:, None]
        radius = np.where(asked, reach[:, order], np.inf).min(axis=1)
        stage = order[last]
        return stage, answers[np.arange(len(stage)), stage], radius
