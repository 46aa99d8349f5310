"""The third op: purified copies to votes, by smoothing the classifier locally."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float32, Float64, Int64
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from ops.classify.classifier import Classifier
from ops.columns import Batch, Columns, Worker, in_batches
from ops.noise import Distribution, draw, noise_key

Copies = Float32[torch.Tensor, "copy channel height width"]
LocalNoise = Callable[[int, torch.Tensor], torch.Tensor]
"""Index of a local noise, indices of copies -> the noise of each, scaled."""

_SUM_SLACK = 1e-3


class Local(BaseModel):
    """The noises over which the classifier is smoothed around a purified copy."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sigma: Annotated[float, Field(ge=0)]
    """Std of the local noise (sigma'), in [0, 1] pixels."""

    num: PositiveInt
    """Local noises per copy (m)."""

    noise: Literal["fixed", "fresh"] = "fixed"
    """One bank for every copy, part of the model; or fresh noises for each vote."""

    distribution: Distribution = "gaussian"
    """Of each entry of the local noise; all have the same std."""

    seed: NonNegativeInt = 42
    """Seed of the fixed bank."""

    @model_validator(mode="after")
    def _smooths_something(self) -> "Local":
        if self.sigma == 0 and self.num > 1:
            raise ValueError(
                f"local needs num 1 where sigma is 0, for all its noises are equal; "
                f"num has {self.num}. Set local.num to 1 or local.sigma above 0."
            )
        return self


class LocalSmooth(BaseModel):
    """Classify the mean confidence over local noises; one class per purified copy.

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

    early_exit: bool = True
    """Whether to leave out local noises that can no longer change a vote."""

    def open(self, worker: Worker) -> Callable[[Batch], Batch]:
        """Load the classifier and return the function."""
        classify = self.classifier.open(worker)
        bank = lru_cache(maxsize=None)(self._bank)

        def local_smooth(batch: Batch) -> Batch:
            purified = batch["purified"]
            rows, copies = purified.shape[:2]
            shape, device = tuple(purified.shape[2:]), purified.device
            if self.local.noise == "fixed":
                noise = self._fixed_noise(bank(shape, device))
            else:
                noise = self._fresh_noise(batch, copies, shape, device)
            votes = smoothed_votes(
                lambda image: in_batches(classify, image, worker.batch),
                purified.flatten(0, 1),
                noise,
                num_local=self.local.num,
                early_exit=self.early_exit,
            )
            return {"vote": votes.view(rows, copies)}

        return local_smooth

    def _bank(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """Return the bank; its first entries are the bank of any smaller num."""
        key = noise_key(self.local.seed, 0.0, "", "local", 0)
        noise = draw(
            self.local.distribution, key, 0, self.local.num, shape, torch.device("cpu")
        )
        return noise.mul_(self.local.sigma).to(device)

    def _fixed_noise(self, bank: torch.Tensor) -> LocalNoise:
        return lambda index, copies: bank[index].expand(len(copies), *bank.shape[1:])

    def _fresh_noise(
        self,
        batch: Batch,
        copies: int,
        shape: tuple[int, ...],
        device: torch.device,
    ) -> LocalNoise:
        def noise(index: int, wanted: torch.Tensor) -> torch.Tensor:
            drawn = [
                draw(self.local.distribution, key, 0, copies, shape, device)
                for key in self._fresh_keys(batch, index)
            ]
            return torch.cat(drawn)[wanted].mul_(self.local.sigma)

        return noise

    def _fresh_keys(self, batch: Batch, index: int) -> Sequence[int]:
        rows = zip(batch["image_key"], batch["stream"], batch["block"], strict=True)
        return [
            noise_key(self.seed, self.sigma, str(key), f"{stream}/local{index}", int(b))
            for key, stream, b in rows
        ]


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
            open_copies = open_copies[~_settled(sums[open_copies], left)]
            if len(open_copies) == 0:
                break
    assert sums is not None  # num_local is at least 1
    return torch.where(sums.isnan().any(dim=1), -1, sums.argmax(dim=1))


def _settled(sums: Float64[torch.Tensor, "copy class"], left: int) -> torch.Tensor:
    first, second = sums.topk(2, dim=1).values.unbind(dim=1)
    return first - second > left + _SUM_SLACK
