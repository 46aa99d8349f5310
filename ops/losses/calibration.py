"""Fine-tune a diffusion model so that a frozen classifier's doubt on it is right."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float32, Int64
from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from torch.nn.functional import one_hot

from ops.classify.classifier import Classifier
from ops.columns import Worker
from ops.losses.ddpm import diffuse, require_channels, target_of
from ops.losses.diffusion_objective import DiffusionObjective
from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import Loss
from ops.pixels import to_signed, to_unit
from ops.purify.one_shot import Prediction, clean_of_shares
from ops.purify.scheduler_settings import ddpm_scheduler
from ops.schedules import Schedule, TimestepRule, timestep_of

Images = Float32[torch.Tensor, "image channel height width"]
PerImage = Float32[torch.Tensor, " image"]
Scores = Float32[torch.Tensor, "copy image class"]


class CalibrationObjective(DiffusionObjective, frozen=True, extra="forbid"):
    """Squared error of the prediction, and the Brier score of what is denoised by it.

    The Brier score of a classifier behind the denoiser is least where its confidence is
    the chance that the class can still be told: sure of the true class where the image
    is recoverable, in doubt where it is not. A confident wrong class costs most. It is
    a mean over copies, which is the score of their mean confidence plus the variance of
    the confidence between them: copies of one image are drawn to agree.

    Source:
        Jeong and Shin 2023, arXiv:2310.16779: fine-tuning of the diffusion model
        through the classifier, over several sigmas at once, by a Brier score on
        confidence beside the denoising loss. Differs, as their code for it is not
        public and we did not have their formulas: one Brier score serves for both
        classes of images, so there is no further term that parts the copies of images
        beyond recovery; the sum of the two losses, its weight, uniform sigmas and a
        clipped denoised image are our choices.
    """

    kind: Literal["calibration"] = "calibration"

    schedule: Schedule
    """How fast image turns to noise; that of the network it begins with."""

    prediction: Prediction = "epsilon"
    """What the network returns: the noise, the velocity, the clean image."""

    learned_sigma: bool = False
    """Whether the network returns a learned variance too; it is not trained further."""

    classifier: Classifier
    """The classifier that will stand behind the denoiser; frozen."""

    sigma: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    """Stds of the certified noise, in [0, 1] pixels; each image gets any of them, one
    as often as another."""

    timestep_rule: TimestepRule = "first_from_zero"
    """How sigma chooses a timestep, as in the purifier; images get that timestep's
    noise."""

    brier_weight: NonNegativeFloat
    """Factor of the Brier score beside the denoising loss (lambda); 0 leaves it out."""

    num_copies: PositiveInt = 1
    """Noisy copies of each image in a step, all of the same sigma."""

    clip: bool = True
    """Whether denoised images are cut to the range of pixels, as in the purifier."""

    @model_validator(mode="after")
    def _has_a_timestep_for_each_sigma(self) -> "CalibrationObjective":
        self._timesteps()
        return self

    def _timesteps(self) -> list[int]:
        return [timestep_of(self.schedule, s, self.timestep_rule) for s in self.sigma]

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the training."""
        learned = {"learned_sigma": True} if self.learned_sigma else {}
        return {
            "objective": self.kind,
            "prediction": self.prediction,
            **learned,
            "calibrated_sigma": list(self.sigma),
            "brier_weight": self.brier_weight,
        }

    def scheduler(self) -> dict[str, Any]:
        """Return schedule and prediction, as a scheduler of diffusers."""
        learned = self.learned_sigma
        return ddpm_scheduler(self.schedule, self.prediction, learned_sigma=learned)

    def open(self, worker: Worker) -> Loss:
        """Load the classifier and return the loss.

        Args:
            worker: where to compute, and what reads the classifier's weights.

        Returns:
            A function of a network, which maps noised images in [-1, 1] and timesteps
            to predictions, and of a minibatch; its result is a scalar of at least 0.

        Raises:
            ValueError: the classifier's weights do not fit.
        """
        classify = self.classifier.open(worker)
        timesteps = torch.tensor(self._timesteps(), device=worker.device)
        alpha_bar = torch.from_numpy(self.schedule.alpha_bar()).to(worker.device)

        def loss(
            network: Callable[..., torch.Tensor], batch: Minibatch
        ) -> Float32[torch.Tensor, ""]:
            place = (batch.uniform("timestep") * len(timesteps)).long()
            timestep = timesteps[place.clamp(max=len(timesteps) - 1)]
            kept = alpha_bar[timestep].float()
            error, denoised = self.denoised(network, batch, timestep, kept)
            if not self.brier_weight:
                return batch.mean(error)
            scores = classify(denoised).unflatten(0, (self.num_copies, -1))
            brier = brier_score(scores, batch.label)
            return batch.mean(error + self.brier_weight * brier)

        return loss

    def denoised(
        self,
        network: Callable[..., torch.Tensor],
        batch: Minibatch,
        timestep: Int64[torch.Tensor, " image"],
        alpha_bar: PerImage,
    ) -> tuple[PerImage, Float32[torch.Tensor, "copy channel height width"]]:
        """Return what denoising costs, and the denoised copies.

        Args:
            network: as for the loss; called once, with all copies.
            batch: images, with the noise that belongs to them.
            timestep: of each image.
            alpha_bar: share of each image's variance left at it, in (0, 1).

        Returns:
            The mean squared error of each image's predictions; and denoised images of
            the [0, 1] range, all images' first copies before the second.

        Raises:
            ValueError: the network returns another number of channels.
        """
        num = self.num_copies
        noise = torch.cat(batch.noises(num, 1.0))
        signed = to_signed(batch.image).repeat(num, 1, 1, 1)
        kept = alpha_bar.repeat(num).view(-1, 1, 1, 1)
        diffused = diffuse(signed, noise, kept)
        output = network(diffused, timestep.repeat(num)).float()
        require_channels(output, signed, learned_sigma=self.learned_sigma)
        output = output[:, : signed.shape[1]]
        error = output - target_of(signed, noise, kept, self.prediction)
        shares = kept.sqrt(), (1.0 - kept).sqrt()
        clean = clean_of_shares(diffused, output, *shares, self.prediction)
        squared = error.square().flatten(1).mean(dim=1).view(num, -1).mean(dim=0)
        return squared, to_unit(clean.clamp(-1.0, 1.0) if self.clip else clean)


def brier_score(scores: Scores, label: Int64[torch.Tensor, " image"]) -> PerImage:
    """Return how far class probabilities are from the truth, squared.

    Args:
        scores: class scores of each copy of each image.
        label: true classes.

    Returns:
        ``sum_c (p_c - 1[c = label])^2`` with the softmax p, the mean over copies: a
        number per image from 0, all copies sure of the true class, to 2, all sure of
        another.

    Source:
        Brier 1950, Verification of forecasts expressed in terms of probability,
        equation 2.
    """
    truth = one_hot(label, scores.shape[2])
    return (scores.softmax(dim=2) - truth).square().sum(dim=2).mean(dim=0)
