"""Purification by samples of a diffusion model's reverse process, which then vote."""

import math
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float32
from pydantic import PositiveInt, model_validator

from ops.columns import Worker
from ops.networks import read_weights
from ops.pixels import to_signed, to_unit
from ops.purify.open_denoiser import DenoisingNetwork
from ops.purify.purifying import Draw, Images, Purify, RandomPurifier
from ops.purify.reverse_steps import (
    ReverseStep,
    Variance,
    kept_timesteps,
    reverse_steps,
    walk,
)
from ops.purify.scheduler_settings import schedule_of
from ops.schedules import Schedule, TimestepRule, timestep_of
from ops.weights import Weights

Samples = Float32[torch.Tensor, "sample channel height width"]


class ReverseChain(DenoisingNetwork, RandomPurifier, frozen=True, extra="forbid"):
    """Sample images that a copy may come from; each of them votes.

    The copy, noise of std ``s = 2 sigma`` beside an image in [-1, 1], is scaled by
    exactly ``1 / sqrt(1 + s^2)``, and stands for an image of the chosen timestep, whose
    own factor ``sqrt(alpha_bar)`` is the nearest that the schedule has. From there the
    reverse process is walked down, ``samples`` times with noise of its own. One step
    has no noise: it returns what one_shot_ddpm returns, but for that factor.

    Source:
        DensePure: Xiao et al. 2023, arXiv:2211.00322, algorithm 1 and its public code;
        the reverse process: Ho et al. 2020, arXiv:2006.11239, algorithm 2.
    """

    kind: Literal["reverse_chain"] = "reverse_chain"

    schedule: Schedule | None = None
    """The timesteps to walk down; ``None`` takes those of the weights' scheduler, which
    weights told the noise itself (EDM) do not have."""

    timestep_rule: TimestepRule = "nearest"
    """How sigma chooses the timestep to start at."""

    steps: PositiveInt | Literal["all"]
    """Steps that share out the timesteps down to 0 (b), which one more call denoises; 1
    denoises at once, all leaves no timestep out."""

    samples: PositiveInt
    """Images sampled for each copy (K), whose majority is the copy's vote."""

    variance: Variance = "fixed_small"
    """How much noise a step adds: the least, the most, or as the network learned."""

    clip: bool = True
    """Whether what each step sees as the clean image is cut to the range of pixels."""

    @model_validator(mode="after")
    def _has_a_use_for_its_fields(self) -> "ReverseChain":
        if self.steps == "all" and self.schedule is None:
            raise ValueError(
                "reverse_chain needs its schedule in the recipe to take `steps: all`, "
                "because it says how many calls that is; schedule is None. Set "
                "`schedule`, or a number of steps."
            )
        if self.steps == 1 and self.samples > 1:
            raise ValueError(
                f"reverse_chain needs several steps for several samples, because one "
                f"step draws no noise; steps is 1 and samples is {self.samples}. Set "
                f"`samples: 1` or more steps."
            )
        return self

    @property
    def samples_per_copy(self) -> int:
        """Purified images of each noisy copy, whose majority is the copy's vote."""
        return self.samples

    def calls_at(self, sigma: float) -> int:
        """Return the calls of the network for each noisy copy, of all samples.

        Args:
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Raises:
            ValueError: the recipe's schedule has no such noise, or fewer timesteps
                below it than steps.
        """
        if self.schedule is not None:
            return self.samples * len(self._kept(self.schedule, sigma))
        assert self.steps != "all"  # refused by the validator
        return self.samples * (1 if self.steps == 1 else self.steps + 1)

    def open_with_noise(self, worker: Worker, sigma: float) -> Purify:
        """Load the network and return the purifying function.

        Args:
            worker: where to compute, and what reads the weights.
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Returns:
            A function from noisy copies to ``samples`` purified ones each, float32, of
            the [0, 1] range.

        Raises:
            ValueError: settings are missing, weights do not fit, the network has no
                learned variance that is asked for or does not know this noise, or no
                timestep has it.
        """
        weights = read_weights(self.weights, worker)
        denoiser = self.open_denoiser(replace(worker, load=lambda reference: weights))
        if self.variance == "learned":
            self._require_learned_variance(weights)
        steps = self._steps(self._told(weights), sigma)
        denoiser.require(steps[0].level)
        shrink = 1.0 / math.sqrt(1.0 + (2.0 * sigma) ** 2)

        def see(unscaled: Images, level: float) -> tuple[Images, Images | None]:
            clean, share = denoiser.with_variance(unscaled, level)
            return clean.clamp(-1.0, 1.0) if self.clip else clean, share

        def purify(noisy: Images, draw: Draw) -> Samples:
            scaled = shrink * to_signed(noisy)
            samples = [
                walk(
                    see,
                    scaled,
                    steps,
                    lambda place, vote=vote: draw(f"vote{vote}/step{place}"),
                    variance=self.variance,
                )
                for vote in range(self.samples)
            ]
            return to_unit(torch.stack(samples, dim=1).flatten(0, 1))

        return purify

    def _steps(self, weights: Weights, sigma: float) -> list[ReverseStep]:
        schedule = self.schedule or _schedule_of(weights)
        return reverse_steps(schedule.alpha_bar(), self._kept(schedule, sigma))

    def _kept(self, schedule: Schedule, sigma: float) -> list[int]:
        timestep = timestep_of(schedule, sigma, self.timestep_rule)
        return kept_timesteps(timestep, self.steps)

    def _require_learned_variance(self, weights: Weights) -> None:
        settings = self.unet or weights.config.get("unet", {})
        # What diffusers takes where the settings are silent.
        image, output = (settings.get(f"{end}_channels", 3) for end in ("in", "out"))
        if output == image:
            raise ValueError(
                f"reverse_chain needs a network that learned variances to take them; "
                f"variance is learned, and the network of {weights.source} returns no "
                f"channels beyond the image's. Take fixed_small or fixed_large."
            )


def _schedule_of(weights: Weights) -> Schedule:
    scheduler = weights.config.get("scheduler", {})
    if "beta_schedule" not in scheduler:
        raise ValueError(
            f"reverse_chain needs timesteps to walk down; schedule is None, and the "
            f"network of {weights.source} is told the noise itself. Set `schedule`."
        )
    return schedule_of(scheduler, weights.source)
