"""The votes of each copy under many local smoothings, from one purified copy."""

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float64, Int64
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
from ops.vote.local_smooth import SUM_SLACK, Copies, lead
from ops.vote.majority import majority

_OPEN = -2


class Head(BaseModel):
    """A classifier, smoothed locally: what turns a purified copy into votes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classifier: Classifier
    """Image to class scores."""

    local: Local
    """Local noises, with the largest number that is traced."""


class TraceVotes(BaseModel):
    """Vote on purified copies under several local smoothings at once.

    The purified copy is the same for all of them, and a number of local noises uses
    the first of them, so that one pass gives the vote under each local noise and every
    number of local noises up to the largest. Each vote is that of
    :class:`ops.vote.local_smooth.LocalSmooth` with this noise and number.

    Source:
        Zhang et al. 2023, DiffSmooth, arXiv:2308.14333: votes that are traced here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reads: ClassVar[Columns] = (
        *("purified", "image_key", "stream", "block"),
        "wanted",
    )
    writes: ClassVar[Columns] = ("traces", "calls")

    heads: tuple[Head, ...]
    """What votes on each copy; a classifier in several of them is loaded once."""

    sigma: PositiveFloat
    """Std of the certified noise; with ``seed``, what fresh local noise hangs on."""

    seed: NonNegativeInt
    """Seed of the run."""

    samples: PositiveInt = 1
    """Purified copies of each noisy one, whose majority is its vote."""

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Load the classifier and return the function.

        It reads ``wanted``, bool ``row head``, and writes for each row, by index of
        the head, where it is wanted: ``traces``, int64 ``num copy``, and ``calls``,
        the classifier's, with the row's share of what pads the last batch.
        """
        opened = {
            one.model_dump_json(): one.open(worker)
            for one in {head.classifier: None for head in self.heads}
        }
        heads = [
            (
                opened[head.classifier.model_dump_json()],
                local_noises(head.local, sigma=self.sigma, seed=self.seed),
                head.local.num,
            )
            for head in self.heads
        ]

        def trace(batch: Batch) -> Batch:
            traces: list[dict[int, torch.Tensor]] = [{} for _ in batch["block"]]
            calls: list[dict[int, float]] = [{} for _ in batch["block"]]
            for number, (classify, noise_of, num_local) in enumerate(heads):
                rows = [r for r, own in enumerate(batch["wanted"]) if own[number]]
                if not rows:
                    continue
                part = {name: [batch[name][r] for r in rows] for name in _IDENTITY}
                purified = batch["purified"][rows]
                counting = _Counting(classify, worker.batch)
                votes = traced_votes(
                    counting,
                    purified.flatten(0, 1),
                    noise_of(part, purified),
                    num_local=num_local,
                )
                by_copy = votes.view(len(votes), len(rows), -1, self.samples)
                by_row = majority(by_copy).unbind(dim=1)
                for row, own in zip(rows, by_row, strict=True):
                    traces[row][number] = own
                    calls[row][number] = counting.num_calls / len(rows)
            return {"traces": traces, "calls": calls}

        return trace


_IDENTITY = ("image_key", "stream", "block")


class _Counting:
    """A network in calls of one shape, which counts the copies it is called on."""

    def __init__(
        self, network: Callable[[torch.Tensor], torch.Tensor], batch: int
    ) -> None:
        self._network, self._batch, self.num_calls = network, batch, 0

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        self.num_calls += -(-len(image) // self._batch) * self._batch
        return in_batches(self._network, image, self._batch)


def traced_votes(
    classify: Callable[[torch.Tensor], torch.Tensor],
    copies: Copies,
    noise: LocalNoise,
    *,
    num_local: int,
) -> Int64[torch.Tensor, "num copy"]:
    """Return the class of largest mean confidence for each number of local noises.

    The vote under ``m`` noises is settled at the first ``j`` at which
    :func:`ops.vote.local_smooth.smoothed_votes` with ``m`` noises would leave off, and
    is the same vote also where a score is not a number. A copy whose votes are all
    settled leaves: that of the largest number settles last.

    Args:
        classify: images to logits.
        copies: purified copies.
        noise: scaled local noise of a given index for given copies.
        num_local: largest number of local noises (m), at least 1.

    Returns:
        Row ``m - 1`` has the votes under the first ``m`` noises: classes from 0; -1
        where a score was not a number.
    """
    votes = torch.full((num_local, len(copies)), _OPEN, device=copies.device)
    open_copies = torch.arange(len(copies), device=copies.device)
    sums: Float64[torch.Tensor, "copy class"] | None = None
    for index in range(num_local):
        logits = classify(copies[open_copies] + noise(index, open_copies))
        confidence = logits.double().softmax(dim=1)
        if sums is None:
            sums = torch.zeros(len(copies), confidence.shape[1]).to(confidence)
        sums[open_copies] += confidence
        own = votes[:, open_copies]
        settled = (own == _OPEN) & _settled(sums[open_copies], index + 1, num_local)
        votes[:, open_copies] = torch.where(settled, _chosen(sums[open_copies]), own)
        open_copies = open_copies[(votes[:, open_copies] == _OPEN).any(dim=0)]
        if len(open_copies) == 0:
            break
    return votes


def _settled(
    sums: Float64[torch.Tensor, "copy class"], done: int, num_local: int
) -> torch.Tensor:
    """Return for each number of noises and copy whether its vote cannot change."""
    num = torch.arange(1, num_local + 1, device=sums.device)[:, None]
    early = (done >= (num / 2).ceil()) & (lead(sums)[None] > num - done + SUM_SLACK)
    return (num == done) | ((num > done) & early)


def _chosen(sums: Float64[torch.Tensor, "copy class"]) -> Int64[torch.Tensor, " copy"]:
    return torch.where(sums.isnan().any(dim=1), -1, sums.argmax(dim=1))
