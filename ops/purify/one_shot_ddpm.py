"""One-shot purification by a denoising diffusion model."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from ops.columns import Worker
from ops.networks import place, read_weights, to_network
from ops.purify.filled_unet import filled_unet
from ops.purify.one_shot import Images, Prediction, denoise
from ops.purify.purifying import Purifying
from ops.purify.scheduler_settings import prediction_of, schedule_of
from ops.purify.unet import refuse_openai_layout, require_indexable
from ops.schedules import Schedule, TimestepRule, embedded_timestep, timestep_of
from ops.weights import Weights, WeightsRef

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moment:
    """Where in its diffusion a network is called."""

    timestep: int
    """Index of the schedule, from 0."""

    num_timesteps: int
    """Timesteps of the schedule."""

    alpha_bar: float
    """Share of the image's variance, in (0, 1)."""

    embedded: float
    """Time as the network is told it."""

    def __str__(self) -> str:
        """Return it as a log line names it."""
        return f"timestep {self.timestep}, alpha_bar {self.alpha_bar:.6f}"


class OneShotDdpm(Purifying, frozen=True, extra="forbid"):
    """Denoise a copy with one call of a diffusion model at the timestep of its noise.

    Source:
        DiffSmooth: Zhang et al., USENIX Security 2023, arXiv:2308.14333; DDS: Carlini
        et al. 2023, arXiv:2206.10550.
    """

    kind: Literal["one_shot_ddpm"] = "one_shot_ddpm"

    weights: WeightsRef
    """Weights of a UNet2DModel, with its settings unless given here."""

    timestep_rule: TimestepRule = "first_from_zero"
    """How sigma chooses a timestep."""

    rescale_timesteps: bool | None = None
    """Whether the network was trained with time running to 1000 at any length; ``None``
    takes it from the weights, and no where they do not say."""

    prediction: Prediction | None = None
    """What the network returns; ``None`` takes it from the weights' scheduler."""

    schedule: Schedule | None = None
    """How the network's noise grows; ``None`` takes it from the weights' scheduler."""

    clip: bool = True
    """Whether purified copies are cut to the range of pixels."""

    unet: dict[str, Any] | None = None
    """Arguments of ``diffusers.UNet2DModel``; ``None`` takes them from the weights."""

    def open(self, worker: Worker, sigma: float) -> Callable[[Images], Images]:
        """Load the network and return the purifying function.

        Args:
            worker: where to compute, and what reads the weights.
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Returns:
            A function from noisy copies to purified ones, float32 in [0, 1].

        Raises:
            ValueError: settings are missing, weights do not fit or are not those that
                were converted, the network is class-conditional, or no timestep has
                this sigma.
        """
        weights = read_weights(self.weights, worker)
        refuse_openai_layout(weights)
        moment = self.moment(weights, sigma)
        scheduler = weights.config.get("scheduler", {})
        prediction = self.prediction or prediction_of(scheduler, weights.source)
        log.info("sigma %s is %s", sigma, moment)
        predict = self._predict(worker, weights, moment.embedded)

        def purify(noisy: Images) -> Images:
            return denoise(
                noisy,
                predict,
                alpha_bar=moment.alpha_bar,
                prediction=prediction,
                clip=self.clip,
            )

        return purify

    def moment(self, weights: Weights, sigma: float) -> Moment:
        """Return the moment of the network's diffusion that has a sigma's noise.

        Args:
            weights: what the reference names.
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Raises:
            ValueError: there is no schedule, or no timestep has this sigma.
        """
        scheduler = weights.config.get("scheduler", {})
        schedule = self.schedule or schedule_of(scheduler, weights.source)
        timestep = timestep_of(schedule, sigma, self.timestep_rule)
        rescale = self.rescale_timesteps
        if rescale is None:
            rescale = weights.config.get("rescale_timesteps", False)
        return Moment(
            timestep=timestep,
            num_timesteps=schedule.num_timesteps,
            alpha_bar=float(schedule.alpha_bar()[timestep]),
            embedded=embedded_timestep(
                timestep, schedule.num_timesteps, rescale=rescale
            ),
        )

    def network(self, weights: Weights) -> nn.Module:
        """Return the network with its weights, on the CPU in float32.

        Args:
            weights: what the reference names; its settings are read where the recipe
                gives none.

        Returns:
            A ``diffusers.UNet2DModel``.

        Raises:
            ValueError: there are no settings, they and the weights do not fit, or the
                network does not return what the weights' file says it should.
        """
        return filled_unet(self.weights, weights, self.unet, asked_by=self.kind)

    def _predict(
        self, worker: Worker, weights: Weights, timestep: float
    ) -> Callable[[Images], torch.Tensor]:
        network = self.network(weights)
        settings: Any = network.config
        placed = place(network, worker)
        # A tensor, because the network copies a number to the device at every call.
        time = torch.tensor(timestep, dtype=torch.float32, device=worker.device)

        def predict(diffused: Images) -> torch.Tensor:
            require_indexable(diffused, settings)
            (output,) = placed(to_network(diffused, worker), time, return_dict=False)
            return output.float()

        return predict
