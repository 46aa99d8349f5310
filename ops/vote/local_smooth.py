"""The third op: purified copies to votes, by smoothing the classifier locally."""

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float32, Float64, Int64
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from ops.classify.classifier import Classifier
from ops.columns import Batch, Columns, Worker, in_batches
from ops.vote.local_noise import Local, LocalNoise, local_noises
from ops.vote.majority import majority

Copies = Float32[torch.Tensor, "copy channel height width"]

SUM_SLACK = 1e-3
"""Beyond rounding: by how much more than it needs a sum of confidences must lead."""


class LocalSmooth(BaseModel):
    """Classify the mean confidence over local noises; one class per noisy copy.

    Where a noisy copy has several purified ones, each of them votes and the majority is
    the copy's class.

    The local noises are either one bank, a fixed part of the classifier, or fresh for
    every vote; both keep votes independent, as a noise shared by a batch would not.

    Source:
        Zhang et al. 2023, DiffSmooth, arXiv:2308.14333: softmax confidences averaged
        over m local noises of std sigma', then argmax.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reads: ClassVar[Columns] = ("purified", "image_key", "stream", "block")
    writes: ClassVar[Columns] = ("vote",)

    classifier: Classifier
    """Image to class scores."""

    local: Local
    """Local noises."""

    sigma: PositiveFloat
    """Std of the certified noise; with ``seed``, what fresh local noise hangs on."""

    seed: NonNegativeInt
    """Seed of the run."""

    samples: PositiveInt = 1
    """Purified copies of each noisy one."""

    early_exit: bool = True
    """Whether to leave out local noises that can no longer change a vote."""

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Load the classifier and return the function."""
        classify = self.classifier.open(worker)
        noise_of = local_noises(self.local, sigma=self.sigma, seed=self.seed)

        def local_smooth(batch: Batch) -> Batch:
            purified = batch["purified"]
            votes = smoothed_votes(
                lambda image: in_batches(classify, image, worker.batch),
                purified.flatten(0, 1),
                noise_of(batch, purified),
                num_local=self.local.num,
                early_exit=self.early_exit,
            )
            by_row = votes.view(len(purified), -1, self.samples)
            return {"vote": majority(by_row)}

        return local_smooth


def smoothed_votes(
    classify: Callable[[torch.Tensor], torch.Tensor],
    copies: Copies,
    noise: LocalNoise,
    *,
    num_local: int,
    early_exit: bool,
) -> Int64[torch.Tensor, " copy"]:
    """Return the class of largest mean confidence for each copy.

    After ``j`` of ``m`` confidences the vote is settled once the two largest sums are
    more than ``m - j`` apart, because one more confidence moves them by 1 at most.
    Settled copies leave; the others go on together. No vote of finite scores changes.

    Args:
        classify: images to logits.
        copies: purified copies.
        noise: scaled local noise of a given index for given copies.
        num_local: local noises per copy (m), at least 1.
        early_exit: whether settled copies leave.

    Returns:
        Classes from 0; -1 where a score was not a number. The first of equal sums wins.
    """
    open_copies = torch.arange(len(copies), device=copies.device)
    sums: Float64[torch.Tensor, "copy class"] | None = None
    for index in range(num_local):
        logits = classify(copies[open_copies] + noise(index, open_copies))
        confidence = logits.double().softmax(dim=1)
        if sums is None:
            sums = torch.zeros_like(confidence)
        sums[open_copies] += confidence
        left = num_local - index - 1
        if early_exit and index + 1 >= math.ceil(num_local / 2) and left:
            settled = lead(sums[open_copies]) > left + SUM_SLACK
            open_copies = open_copies[~settled]
            if len(open_copies) == 0:
                break
    assert sums is not None  # num_local is at least 1
    return torch.where(sums.isnan().any(dim=1), -1, sums.argmax(dim=1))


def lead(sums: Float64[torch.Tensor, "copy class"]) -> Float64[torch.Tensor, " copy"]:
    """Return by how much the largest sum of confidences leads before the second."""
    first, second = sums.topk(2, dim=1).values.unbind(dim=1)
    return first - second
