"""Predict the class of the smoothed classifier, or abstain when it is too close."""

from collections.abc import Callable
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import BaseModel, Field
from scipy.special import betainc

from ops.certify.fixed import most_voted_class, votes_of_class
from ops.columns import Batch, Columns, Worker


class Predict(BaseModel, frozen=True, extra="forbid"):
    """Name the class with the most votes if it leads beyond doubt.

    Copies without a class are added to the runner-up.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, PREDICT; Hung and Fithian
        2019, The Annals of Statistics 47(2), for its validity.
    """

    reads: ClassVar[Columns] = ("votes_predict", "invalid_predict")
    writes: ClassVar[Columns] = (
        "predicted_class",
        "abstained",
        "num_top",
        "num_second",
        "p_value",
    )

    failure_probability: Annotated[float, Field(gt=0, lt=1)]
    """Chance that a class is named which is not the smoothed classifier's."""

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Return the predicting function; there is nothing to load."""
        return self._predict

    def _predict(self, batch: Batch) -> Batch:
        votes = batch["votes_predict"]
        predicted_class = most_voted_class(votes)
        num_top = votes_of_class(votes, predicted_class)
        is_rival = np.arange(votes.shape[1]) != predicted_class[:, None]
        num_second = np.where(is_rival, votes, 0).max(axis=1) + batch["invalid_predict"]
        p_value = tie_p_value(num_top, num_second)
        return {
            "predicted_class": predicted_class,
            "abstained": p_value > self.failure_probability,
            "num_top": num_top,
            "num_second": num_second,
            "p_value": p_value,
        }


def tie_p_value(
    num_top: Int64[np.ndarray, " row"], num_second: Int64[np.ndarray, " row"]
) -> Float64[np.ndarray, " row"]:
    """Test whether a lead this large could come from two classes of equal chance.

    Exact two-sided binomial test of ``num_top`` in ``num_top + num_second`` at one
    half, in closed form.

    Args:
        num_top: votes for the class to be named, counts of at least 0.
        num_second: votes for its rival, counts of at least 0.

    Returns:
        p-values in ``(0, 1]``; 1 where the class does not lead.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, BinomPValue in PREDICT.
    """
    one_or_more = np.maximum(num_top, 1)
    tail = betainc(one_or_more, num_second + 1, 0.5)
    return np.where(num_top > num_second, np.minimum(1.0, 2 * tail), 1.0)
