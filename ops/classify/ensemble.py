"""Several classifiers as one."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float32, Float64
from pydantic import BaseModel, Field, model_validator
from torch.nn import functional

from ops.classify.cifar_resnet import CifarResnet
from ops.classify.digits_cnn import DigitsCnn
from ops.classify.logits import Images, Logits
from ops.classify.timm import Timm
from ops.columns import Worker, in_batches

Scores = Float32[torch.Tensor, "member copy class"]
Combined = Float64[torch.Tensor, "copy class"]
Combine = Literal["logits", "softmax", "vote"]

Member = Timm | CifarResnet | DigitsCnn
"""Every classifier that is one network."""

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]

NO_VOTE = math.log(torch.finfo(torch.float32).tiny)
"""Score of a class without a vote, about -87.3. It is finite, so that sums and products
of scores stay numbers, and its exponential, 1e-38, is far below what a share of votes
of at most 1 can be told apart by in float64."""


class Ensemble(BaseModel, frozen=True, extra="forbid"):
    """Several classifiers of the same classes, asked about the same image.

    What comes back are scores whose softmax is the ensemble's confidence, as for one
    network: the mean of the members' logits; the log of the mean of their confidences;
    or the log of each class's share of their votes, which has no gradient. Where a
    member's confidences are not numbers, neither are the ensemble's, so that such an
    image counts for no class.

    With a consensus, an image on which the first members agree is not shown to the
    others, and its scores are those of the first ones. This is another classifier than
    the whole ensemble, but one function of the image all the same.

    Source:
        Horvath et al. 2022, arXiv:2106.06946: soft ensembles as base classifiers, and
        K-consensus aggregation.
    """

    kind: Literal["ensemble"] = "ensemble"

    members: Annotated[
        tuple[Annotated[Member, Field(discriminator="kind")], ...], Field(min_length=2)
    ]
    """Classifiers, at least two, in the order in which they are asked."""

    combine: Combine = "logits"
    """What is averaged: ``logits``; confidences, ``softmax``; or whole votes, ``vote``,
    of which the first of equal shares wins."""

    member_weights: tuple[Weight, ...] | None = None
    """How much each member counts in the average, above 0; ``None``: all the same."""

    consensus: Annotated[int, Field(ge=2)] | None = None
    """How many of the first members must agree on the class for the others not to be
    asked (K), at least 2 and fewer than all; ``None``: all are always asked."""

    @model_validator(mode="after")
    def _tells_the_same_classes_apart(self) -> "Ensemble":
        nums = [member.num_classes for member in self.members]
        if len(set(nums)) > 1:
            raise ValueError(
                f"An ensemble needs members of the same classes; their num_classes "
                f"are {nums}. Take members of one number of classes."
            )
        return self

    @model_validator(mode="after")
    def _weighs_every_member(self) -> "Ensemble":
        weights, num = self.member_weights, len(self.members)
        if weights is not None and len(weights) != num:
            raise ValueError(
                f"member_weights needs one number for each of {num} members; it has "
                f"{len(weights)}. Give as many, or drop member_weights."
            )
        return self

    @model_validator(mode="after")
    def _leaves_members_out(self) -> "Ensemble":
        num = len(self.members)
        if self.consensus is not None and self.consensus >= num:
            raise ValueError(
                f"consensus needs fewer than all {num} members; it has "
                f"{self.consensus}. Lower it, or drop consensus to ask all members."
            )
        return self

    @property
    def num_classes(self) -> int:
        """Classes that each member tells apart."""
        return self.members[0].num_classes

    @property
    def whole(self) -> "Ensemble":
        """The same ensemble with no member left out."""
        return self.model_copy(update={"consensus": None})

    def open(self, worker: Worker) -> Callable[[Images], Logits]:
        """Load the members and return the classifying function.

        Args:
            worker: where to compute, and what reads the weights.

        Returns:
            A function from float32 images to float32 scores.

        Raises:
            ValueError: a member cannot be opened.
        """
        members = [member.open(worker) for member in self.members]
        weights = self.member_weights or (1.0,) * len(members)
        combine = _COMBINED[self.combine]
        first = self.consensus or len(members)

        def combined(scores: Scores) -> Logits:
            return numbers_only(combine(scores, weights[: len(scores)]), scores)

        return lambda image: asked_in_turn(
            members, image, combined, first=first, batch=worker.batch
        )


def asked_in_turn(
    members: Sequence[Callable[[Images], Logits]],
    image: Images,
    combined: Callable[[Scores], Logits],
    *,
    first: int,
    batch: int,
) -> Logits:
    """Ask the first members about all images, the others where these do not agree.

    Args:
        members: images to scores each.
        image: images.
        combined: scores of the first members, or of all, to one score per class.
        first: members that are always asked (K).
        batch: images per call of the others, padded, whatever the images they get.

    Returns:
        For each image what ``combined`` makes of the first members' scores if they have
        their largest at the same class, and of all members' otherwise.
    """
    scores = torch.stack([member(image) for member in members[:first]])
    found = combined(scores)
    if first == len(members):
        return found
    classes = scores.argmax(dim=2)
    apart = (classes != classes[0]).any(dim=0).nonzero()[:, 0]
    if len(apart) == 0:
        return found
    rest = [in_batches(member, image[apart], batch) for member in members[first:]]
    every = torch.cat([scores[:, apart], torch.stack(rest)])
    return found.index_copy(0, apart, combined(every))


def mean_logits(scores: Scores, weights: Sequence[float]) -> Combined:
    """Return the weighted mean of the members' scores.

    Args:
        scores: of each member.
        weights: of each member, above 0.
    """
    # One by one, so that an image's sums never depend on how many there are.
    total = torch.zeros_like(scores[0], dtype=torch.float64)
    for weight, own in zip(weights, scores, strict=True):
        total = total + weight * own.double()
    return total / math.fsum(weights)


def log_mean_confidence(scores: Scores, weights: Sequence[float]) -> Combined:
    """Return the log of the weighted mean of the members' softmax confidences.

    Args:
        scores: of each member.
        weights: of each member, above 0.
    """
    whole = math.fsum(weights)
    total = torch.full_like(scores[0], -torch.inf, dtype=torch.float64)
    for weight, own in zip(weights, scores, strict=True):
        logs = own.double().log_softmax(dim=1) + math.log(weight / whole)
        total = torch.logaddexp(total, logs)
    return total


def log_share_of_votes(scores: Scores, weights: Sequence[float]) -> Combined:
    """Return the log of the share of votes that each class has.

    Args:
        scores: of each member, which votes for the first class of its largest score.
        weights: of each member's vote, above 0.

    Returns:
        Logs of shares that sum to 1; :data:`NO_VOTE` for a class without a vote.
    """
    total = torch.zeros_like(scores[0], dtype=torch.float64)
    for weight, own in zip(weights, scores, strict=True):
        vote = functional.one_hot(own.argmax(dim=1), own.shape[1])
        total = total + weight * vote.double()
    return (total / math.fsum(weights)).log().clamp_min(NO_VOTE)


def numbers_only(combined: Combined, scores: Scores) -> Logits:
    """Return combined scores, NaN where a member has a confidence that is not a number.

    Args:
        combined: scores of the ensemble.
        scores: of each member, from which they were made.
    """
    missing = scores.softmax(dim=2).isnan().any(dim=2).any(dim=0)
    return torch.where(missing[:, None], torch.nan, combined).float()


_COMBINED: dict[Combine, Callable[[Scores, Sequence[float]], Combined]] = {
    "logits": mean_logits,
    "softmax": log_mean_confidence,
    "vote": log_share_of_votes,
}
