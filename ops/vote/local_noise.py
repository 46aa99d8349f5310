"""Local noises around a purified copy: one bank, or fresh for every vote."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Literal

import torch
from jaxtyping import Float32
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from ops.columns import Batch
from ops.noise import Distribution, draw, noise_key

LocalNoise = Callable[[int, torch.Tensor], torch.Tensor]
"""Index of a local noise, indices of copies -> the noise of each, scaled."""

Purified = Float32[torch.Tensor, "row copy channel height width"]


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


def local_noises(
    local: Local, *, sigma: float, seed: int
) -> Callable[[Batch, Purified], LocalNoise]:
    """Return what gives the local noises of a batch; the bank is made once.

    A noise of a given index does not depend on how many there are, so that a smaller
    ``num`` is a prefix of a larger one.

    Args:
        local: which noises.
        sigma: std of the certified noise; with ``seed``, what fresh noise hangs on.
        seed: of the run.
    """
    bank = lru_cache(maxsize=None)(lambda shape, device: _bank(local, shape, device))

    def of(batch: Batch, purified: Purified) -> LocalNoise:
        shape = tuple(purified.shape[2:])
        if local.noise == "fixed":
            return _fixed_noise(bank(shape, purified.device))
        return _fresh_noise(
            local, lambda index: _keys(batch, index, sigma, seed), purified
        )

    return of


def _bank(local: Local, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return the bank; its first entries are the bank of any smaller num."""
    key = noise_key(local.seed, 0.0, "", "local", 0)
    cpu = torch.device("cpu")
    noise = draw(local.distribution, key, 0, local.num, shape, cpu)
    return noise.mul_(local.sigma).to(device)


def _fixed_noise(bank: torch.Tensor) -> LocalNoise:
    return lambda index, copies: bank[index].expand(len(copies), *bank.shape[1:])


def _fresh_noise(
    local: Local, keys: Callable[[int], Sequence[int]], purified: Purified
) -> LocalNoise:
    copies, shape = purified.shape[1], tuple(purified.shape[2:])

    def noise(index: int, wanted: torch.Tensor) -> torch.Tensor:
        drawn = [
            draw(local.distribution, key, 0, copies, shape, purified.device)
            for key in keys(index)
        ]
        return torch.cat(drawn)[wanted].mul_(local.sigma)

    return noise


def _keys(batch: Batch, index: int, sigma: float, seed: int) -> Sequence[int]:
    rows = zip(batch["image_key"], batch["stream"], batch["block"], strict=True)
    return [
        noise_key(seed, sigma, str(key), f"{stream}/local{index}", int(block))
        for key, stream, block in rows
    ]
