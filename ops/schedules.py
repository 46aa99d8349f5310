"""Noise schedules of diffusion models, and the timestep that has a given sigma."""

import math
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, Field, PositiveInt, model_validator

TimestepRule = Literal["first_from_zero", "first_from_one", "nearest", "closed_form"]
"""How sigma chooses a timestep.

first_from_zero   first timestep whose noise is at least as strong (DiffSmooth)
first_from_one    the same, never timestep 0 (DDS)
nearest           timestep whose noise is nearest (DensePure on ImageNet)
closed_form       rounded inverse of the cosine schedule (DensePure on CIFAR-10)
"""

COSINE_OFFSET = 0.008
LARGEST_COSINE_BETA = 0.999

Beta = Annotated[float, Field(gt=0, lt=1)]


class Schedule(BaseModel, frozen=True, extra="forbid"):
    """How fast a diffusion model mixes an image with noise."""

    kind: Literal["linear", "cosine", "scaled_linear"]
    """Shape of the betas; scaled_linear is linear in their square roots."""

    num_timesteps: PositiveInt
    """Timesteps the model was trained on (T)."""

    beta_start: Beta | None = None
    """Share of noise mixed in by the first timestep; cosine has none."""

    beta_end: Beta | None = None
    """Share of noise mixed in by the last timestep; cosine has none."""

    @model_validator(mode="after")
    def _has_the_betas_of_its_kind(self) -> "Schedule":
        given = (self.beta_start is not None, self.beta_end is not None)
        needed = self.kind != "cosine"
        if given != (needed, needed):
            raise ValueError(
                f"A {self.kind} schedule needs {'both' if needed else 'neither'} of "
                f"beta_start and beta_end; it has beta_start={self.beta_start} and "
                f"beta_end={self.beta_end}. Linear schedules usually have 0.0001 and "
                f"0.02, a cosine schedule follows from num_timesteps."
            )
        return self

    def alpha_bar(self) -> Float64[np.ndarray, " timestep"]:
        """Return how much of the image's variance is left at each timestep.

        Returns:
            Falling values in (0, 1), one per timestep, the first for timestep 0.

        Source:
            Ho et al. 2020, arXiv:2006.11239, section 2 (linear); Nichol and Dhariwal
            2021, arXiv:2102.09672, equation 17 (cosine).
        """
        return np.cumprod(1.0 - self._beta())

    def _beta(self) -> Float64[np.ndarray, " timestep"]:
        if self.beta_start is None or self.beta_end is None:
            cosine = _cosine(np.arange(self.num_timesteps + 1) / self.num_timesteps)
            return np.minimum(1.0 - cosine[1:] / cosine[:-1], LARGEST_COSINE_BETA)
        if self.kind == "linear":
            return np.linspace(self.beta_start, self.beta_end, self.num_timesteps)
        start, end = math.sqrt(self.beta_start), math.sqrt(self.beta_end)
        return np.linspace(start, end, self.num_timesteps) ** 2


def _cosine(time: Float64[np.ndarray, " time"]) -> Float64[np.ndarray, " time"]:
    angle = (time + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * math.pi / 2.0
    return np.cos(angle) ** 2


def sigma_signed_of(
    alpha_bar: Float64[np.ndarray, " timestep"],
) -> Float64[np.ndarray, " timestep"]:
    """Return the std of the noise beside an unscaled image in [-1, 1].

    Args:
        alpha_bar: variance of the image left at each timestep, in (0, 1).

    Returns:
        ``sqrt((1 - alpha_bar) / alpha_bar)``, positive; half of it is a sigma.
    """
    return np.sqrt((1.0 - alpha_bar) / alpha_bar)


def timestep_of(schedule: Schedule, sigma: float, rule: TimestepRule) -> int:
    """Return the timestep at which a diffusion model meets noise of std sigma.

    Args:
        schedule: the schedule the model was trained with.
        sigma: std of the noise in [0, 1] pixels, above 0.
        rule: how sigma chooses between neighbouring timesteps.

    Returns:
        An index into ``schedule.alpha_bar()``.

    Raises:
        ValueError: sigma is not positive or beyond the noisiest timestep, or the closed
            form is asked of a schedule that has none.

    Source:
        DiffSmooth: Zhang et al., USENIX Security 2023, arXiv:2308.14333; DDS: Carlini
        et al. 2023, arXiv:2206.10550, algorithm 1; DensePure: Xiao et al. 2023,
        arXiv:2211.00322.
    """
    levels = sigma_signed_of(schedule.alpha_bar())
    sigma_signed = 2.0 * sigma
    if not 0.0 < sigma_signed <= levels[-1]:
        raise _unreached(schedule, sigma, levels[-1] / 2.0)
    if rule == "closed_form":
        return _closed_form(schedule, sigma)
    if rule == "nearest":
        return int(np.abs(levels - sigma_signed).argmin())
    first = 1 if rule == "first_from_one" else 0
    return max(first, int(np.searchsorted(levels, sigma_signed, side="left")))


def _closed_form(schedule: Schedule, sigma: float) -> int:
    """Invert the cosine; differs: lies one above the index, as in DensePure's code."""
    if schedule.kind != "cosine":
        raise ValueError(
            f"The rule closed_form needs a cosine schedule; the schedule is "
            f"{schedule.kind}. Take nearest or first_from_zero."
        )
    half_turns = math.pi / (2.0 * (1.0 + COSINE_OFFSET))
    signal = math.sin(half_turns) / math.sqrt(1.0 + (2.0 * sigma) ** 2)
    timestep = round(schedule.num_timesteps * (1.0 - math.asin(signal) / half_turns))
    if timestep >= schedule.num_timesteps:
        raise _unreached(schedule, sigma, None)
    return timestep


def _unreached(schedule: Schedule, sigma: float, largest: float | None) -> ValueError:
    bound = "" if largest is None else f" and up to {largest:.4g}"
    return ValueError(
        f"A {schedule.kind} schedule of {schedule.num_timesteps} timesteps needs a "
        f"sigma above 0{bound}; sigma is {sigma}. No timestep has this noise: take "
        f"another sigma or another purifier."
    )


def embedded_timestep(timestep: int, num_timesteps: int, *, rescale: bool) -> float:
    """Return the number that a network's time embedding expects.

    Args:
        timestep: index into the schedule, in ``[0, num_timesteps)``.
        num_timesteps: timesteps of the schedule.
        rescale: whether the network was trained with time running to 1000 whatever the
            number of timesteps.

    Returns:
        The timestep, times ``1000 / num_timesteps`` if rescaled; may be fractional.

    Source:
        Nichol and Dhariwal 2021, arXiv:2102.09672, the models of 4000 timesteps.
    """
    return timestep * 1000.0 / num_timesteps if rescale else float(timestep)
