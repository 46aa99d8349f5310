"""Train a network to tell image from noise, mixed by a diffusion schedule."""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float32, Int64
from pydantic import BaseModel, Field, PositiveFloat, model_validator

from ops.columns import Worker
from ops.losses.diffusion_objective import DiffusionObjective
from ops.losses.minibatch import Minibatch
from ops.losses.variational_bound import WEIGHT, variational_bound
from ops.pixels import to_signed
from ops.purify.one_shot import Prediction
from ops.purify.scheduler_settings import ddpm_scheduler
from ops.schedules import Schedule, sigma_signed_of

Images = Float32[torch.Tensor, "image channel height width"]
Shares = Float32[torch.Tensor, "image 1 1 1"]


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


class DdpmObjective(DiffusionObjective, frozen=True, extra="forbid"):
    """Squared error of what a network predicts, over the timesteps of a schedule."""

    kind: Literal["ddpm"] = "ddpm"

    schedule: Schedule
    """How fast image turns to noise; the purifier must use the same."""

    timesteps: Annotated[
        UniformTimestep | LogUniformSigma, Field(discriminator="kind")
    ] = UniformTimestep()
    """How often each timestep is trained on."""

    prediction: Prediction = "epsilon"
    """What the network learns to return: the noise, the velocity, the clean image."""

    learned_sigma: bool = False
    """Whether the network returns as many channels again, for the variance of a reverse
    step, and learns them from the variational bound."""

    @model_validator(mode="after")
    def _has_a_variance_to_learn(self) -> "DdpmObjective":
        if self.learned_sigma and self.schedule.num_timesteps < 2:
            raise ValueError(
                f"learned_sigma needs a schedule of at least 2 timesteps; "
                f"schedule.num_timesteps is {self.schedule.num_timesteps}. Take more."
            )
        return self

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the training."""
        learned = {"learned_sigma": True} if self.learned_sigma else {}
        return {"objective": self.kind, "prediction": self.prediction, **learned}

    def scheduler(self) -> dict[str, Any]:
        """Return schedule and prediction, as a scheduler of diffusers."""
        learned = self.learned_sigma
        return ddpm_scheduler(self.schedule, self.prediction, learned_sigma=learned)

    def open(
        self, worker: Worker
    ) -> Callable[[Callable[..., torch.Tensor], Minibatch], torch.Tensor]:
        """Return the loss; there is nothing to load."""
        return self.loss

    def loss(
        self, network: Callable[..., torch.Tensor], batch: Minibatch
    ) -> Float32[torch.Tensor, ""]:
        """Return the mean loss over a worker's share of a step.

        Args:
            network: maps noised images in [-1, 1] and timesteps to predictions, and to
                variances in further channels if they are learned.
            batch: images, with the noise and the timesteps that belong to them.

        Returns:
            A scalar of at least 0; without learned variances and of predicted noise, 1
            for a network that returns 0.

        Raises:
            ValueError: the network returns another number of channels.

        Source:
            Nichol and Dhariwal 2021, arXiv:2102.09672, equation 16 (learned variances).
        """
        timestep = self.timesteps.timestep(batch.uniform("timestep"), self.schedule)
        alpha_bar = torch.from_numpy(self.schedule.alpha_bar()).to(timestep.device)
        kept = alpha_bar[timestep].float().view(-1, 1, 1, 1)
        signed, noise = to_signed(batch.image), batch.gaussian("noise")
        output = network(diffuse(signed, noise, kept), timestep).float()
        require_channels(output, signed, learned_sigma=self.learned_sigma)
        channels = signed.shape[1]
        error = output[:, :channels] - target_of(signed, noise, kept, self.prediction)
        squared = _mean_square(error, batch)
        if not self.learned_sigma:
            return squared
        bound = variational_bound(
            signed,
            clean_error_of(error.detach(), kept, self.prediction),
            output[:, channels:],
            timestep=timestep,
            schedule=self.schedule,
        )
        return squared + WEIGHT * self.schedule.num_timesteps * batch.mean(bound)


def _mean_square(error: Images, batch: Minibatch) -> Float32[torch.Tensor, ""]:
    if batch.weight is None:
        return error.square().mean()
    return batch.mean(error.square().flatten(1).mean(dim=1))


def diffuse(signed: Images, noise: Images, alpha_bar: Shares) -> Images:
    """Return images as a diffusion model meets them.

    Args:
        signed: images in [-1, 1].
        noise: of mean 0 and std 1.
        alpha_bar: share of the image's variance left at its timestep, in (0, 1).

    Source:
        Ho, Jain and Abbeel 2020, arXiv:2006.11239, equation 4.
    """
    return alpha_bar.sqrt() * signed + (1.0 - alpha_bar).sqrt() * noise


def target_of(
    signed: Images, noise: Images, alpha_bar: Shares, prediction: Prediction
) -> Images:
    """Return what a network that knows image and noise would return.

    Args:
        signed: images in [-1, 1].
        noise: of mean 0 and std 1.
        alpha_bar: share of the image's variance left at its timestep, in (0, 1).
        prediction: the noise, the velocity or the clean image.

    Source:
        Ho, Jain and Abbeel 2020, arXiv:2006.11239, equation 14 (epsilon); Salimans and
        Ho 2022, arXiv:2202.00512, section 4 (v, x0).
    """
    if prediction == "epsilon":
        return noise
    if prediction == "v":
        return alpha_bar.sqrt() * noise - (1.0 - alpha_bar).sqrt() * signed
    return signed


def clean_error_of(error: Images, alpha_bar: Shares, prediction: Prediction) -> Images:
    """Return the image less the clean image that follows from a network's output.

    Args:
        error: the output less what ``target_of`` returns.
        alpha_bar: share of the image's variance left at its timestep, in (0, 1).
        prediction: what the output is.
    """
    if prediction == "epsilon":
        return (1.0 / alpha_bar - 1.0).sqrt() * error
    if prediction == "v":
        return (1.0 - alpha_bar).sqrt() * error
    return -error


def require_channels(
    output: torch.Tensor, image: torch.Tensor, *, learned_sigma: bool
) -> None:
    """Refuse the output of a network that is made for another objective.

    Args:
        output: ``image output_channel height width``.
        image: what the network was given.
        learned_sigma: whether it learns variances too.

    Raises:
        ValueError: there are not as many channels as the image has, or twice as many
            with learned variances.
    """
    needed = (2 if learned_sigma else 1) * image.shape[1]
    if output.shape[1] != needed:
        raise ValueError(
            f"An objective with learned_sigma {learned_sigma} needs a network that "
            f"returns {needed} channels for images of {image.shape[1]}; it returns "
            f"{output.shape[1]}. Set network.settings.out_channels to {needed}."
        )
