"""Train a network to predict the noise that a diffusion schedule mixed in."""

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from jaxtyping import Float32, Int64
from pydantic import BaseModel, Field, PositiveFloat, model_validator

from ops.losses.minibatch import Minibatch
from ops.pixels import to_signed
from ops.schedules import Schedule, sigma_signed_of


class UniformTimestep(BaseModel, frozen=True, extra="forbid"):
    """Every timestep as often as every other.

    Source: Ho, Jain and Abbeel 2020, arXiv:2006.11239, algorithm 1.
    """

    kind: Literal["uniform_timestep"] = "uniform_timestep"

    def timestep(
        self, uniform: Float32[torch.Tensor, " image"], schedule: Schedule
    ) -> Int64[torch.Tensor, " image"]:
        """Return timesteps for uniform numbers in [0, 1]."""
        last = schedule.num_timesteps - 1
        return (uniform * schedule.num_timesteps).long().clamp(max=last)


class LogUniformSigma(BaseModel, frozen=True, extra="forbid"):
    """Every factor of noise as often as every other, between two sigmas.

    A one-shot purifier meets few sigmas, all well below the noisiest timestep, so a
    small network spends its steps there.

    Source: the log-scale choice of Karras et al. 2022, arXiv:2206.00364, section 5,
    with a uniform in place of their normal.
    """

    kind: Literal["log_uniform_sigma"] = "log_uniform_sigma"

    sigma_low: PositiveFloat
    """Least noise trained on, in [0, 1] pixels."""

    sigma_high: PositiveFloat
    """Most noise trained on, in [0, 1] pixels."""

    @model_validator(mode="after")
    def _rises(self) -> "LogUniformSigma":
        if self.sigma_low >= self.sigma_high:
            raise ValueError(
                f"LogUniformSigma needs sigma_low < sigma_high; they are "
                f"{self.sigma_low} and {self.sigma_high}. Exchange or part them."
            )
        return self

    def timestep(
        self, uniform: Float32[torch.Tensor, " image"], schedule: Schedule
    ) -> Int64[torch.Tensor, " image"]:
        """Return, for uniform numbers in [0, 1], the first timesteps noisy enough."""
        levels = torch.from_numpy(sigma_signed_of(schedule.alpha_bar()))
        span = math.log(self.sigma_high / self.sigma_low)
        sigma_signed = 2.0 * self.sigma_low * torch.exp(span * uniform.double())
        first = torch.searchsorted(levels.to(uniform.device), sigma_signed)
        return first.clamp(max=schedule.num_timesteps - 1)


class DdpmObjective(BaseModel, frozen=True, extra="forbid"):
    """Squared error of predicted noise, over the timesteps of a schedule."""

    kind: Literal["ddpm"] = "ddpm"

    schedule: Schedule
    """How fast image turns to noise; the purifier must use the same."""

    timesteps: Annotated[
        UniformTimestep | LogUniformSigma, Field(discriminator="kind")
    ] = UniformTimestep()
    """How often each timestep is trained on."""

    def loss(
        self, network: Callable[..., torch.Tensor], batch: Minibatch
    ) -> Float32[torch.Tensor, ""]:
        """Return the mean loss over a worker's share of a step.

        Args:
            network: maps noised images in [-1, 1] and timesteps to predicted noise.
            batch: images, with the noise and the timesteps that belong to them.

        Returns:
            A scalar of at least 0; 1 for a network that predicts no noise.
        """
        timestep = self.timesteps.timestep(batch.uniform("timestep"), self.schedule)
        alpha_bar = torch.from_numpy(self.schedule.alpha_bar()).to(timestep.device)
        return ddpm_loss(
            network,
            batch.image,
            batch.gaussian("noise"),
            timestep=timestep,
            alpha_bar=alpha_bar[timestep].float(),
        )


def ddpm_loss(
    network: Callable[..., torch.Tensor],
    image: Float32[torch.Tensor, "image channel height width"],
    noise: Float32[torch.Tensor, "image channel height width"],
    *,
    timestep: Int64[torch.Tensor, " image"],
    alpha_bar: Float32[torch.Tensor, " image"],
) -> Float32[torch.Tensor, ""]:
    """Return the squared error of the noise a network finds in noised images.

    Args:
        network: maps noised images in [-1, 1] and timesteps to predicted noise.
        image: pixels in [0, 1]; moved to [-1, 1] here.
        noise: of mean 0 and std 1.
        timestep: index into the schedule, one per image.
        alpha_bar: share of the image's variance left at its timestep, in (0, 1).

    Returns:
        Mean over images and pixels, at least 0.

    Source:
        Ho, Jain and Abbeel 2020, arXiv:2006.11239, equation 14.
    """
    kept = alpha_bar.view(-1, 1, 1, 1)
    noised = kept.sqrt() * to_signed(image) + (1.0 - kept).sqrt() * noise
    return (network(noised, timestep) - noise).square().mean()
