"""Open the denoiser that a file of weights is, whatever it was trained as."""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
from pydantic import (
    BaseModel,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
)
from torch import nn

from ops.columns import Worker
from ops.networks import place, read_weights, to_network
from ops.purify.denoiser import Denoiser, Images, karras_denoiser, vp_denoiser
from ops.purify.edm_network import (
    HIGHEST_LEVEL,
    USUAL_SIGMA_DATA,
    Label,
    edm_network_denoiser,
    is_edm_network,
    no_classes,
)
from ops.purify.filled_unet import filled_unet
from ops.purify.scheduler_settings import (
    EDM_SCHEDULER,
    misfit,
    prediction_of,
    schedule_of,
)
from ops.purify.unet import refuse_openai_layout, require_indexable
from ops.weights import Weights, WeightsRef

Positive = Annotated[FiniteFloat, Field(gt=0)]


class _EdmScheduler(BaseModel, frozen=True, extra="ignore"):
    """What a scheduler of diffusers says of a network preconditioned as EDM does it."""

    sigma_data: Positive = USUAL_SIGMA_DATA
    """Std of clean images' pixels, on the [-1, 1] range."""

    sigma_max: Positive = HIGHEST_LEVEL
    """Level up to which it was trained; the usual one where none is told or no end."""

    @field_validator("sigma_max", mode="before")
    @classmethod
    def _usual_without_end(cls, value: object) -> object:
        return HIGHEST_LEVEL if value is None or value == math.inf else value


class DenoisingNetwork(BaseModel, frozen=True, extra="forbid"):
    """A diffusion model of any kind, as a denoiser."""

    weights: WeightsRef
    """Weights of a UNet2DModel with a scheduler, of DDPM or EDM, or of EDM's own."""

    unet: dict[str, Any] | None = None
    """Arguments of ``diffusers.UNet2DModel``; ``None`` takes them from the weights."""

    scheduler: dict[str, Any] | None = None
    """A scheduler's settings as diffusers writes them; ``None`` takes the weights'."""

    label: Label = "none"
    """``null_class`` opens a class-conditional network of EDM's own and tells it no
    class, a row of zeros; one that never saw such a row in training purifies badly."""

    def open_denoiser(self, worker: Worker) -> Denoiser:
        """Load the network and return the denoiser.

        Args:
            worker: where to compute, and what reads the weights.

        Raises:
            ValueError: settings are missing, or weights do not fit or are not those
                that were converted, or want a class.
        """
        weights = read_weights(self.weights, worker)
        refuse_openai_layout(weights)
        if is_edm_network(weights.config):
            self._require_told_by_file(weights.source)
            return edm_network_denoiser(weights, worker, self.label)
        if self.label != "none":
            raise no_classes(weights.source)
        network = filled_unet(
            self.weights, weights, self.unet, asked_by="A diffusion model"
        )
        return denoiser_of(network, self._told(weights), worker)

    def _require_told_by_file(self, source: str) -> None:
        said = [name for name in ("unet", "scheduler") if getattr(self, name)]
        if said:
            raise ValueError(
                f"A U-Net of EDM needs the settings of its own file, and no "
                f"UNet2DModel's; the recipe has {said[0]}, and the weights are "
                f"{source}. Drop {said[0]}."
            )

    def _told(self, weights: Weights) -> Weights:
        if self.scheduler is None:
            return weights
        config = {**weights.config, "scheduler": self.scheduler}
        return Weights(weights.source, weights.tensors, config)


def denoiser_of(network: nn.Module, weights: Weights, worker: Worker) -> Denoiser:
    """Return the denoiser that a U-Net is, by what its file says of its scheduler.

    Args:
        network: a filled ``diffusers.UNet2DModel``.
        weights: whose settings are read.
        worker: where to compute.

    Raises:
        ValueError: the scheduler describes no denoiser of known levels, or has for a
            setting what is none.
    """
    scheduler = weights.config.get("scheduler", {})
    call = _calling(network, worker)
    if scheduler.get("_class_name") == EDM_SCHEDULER:
        told = _edm_scheduler(scheduler, weights.source)
        return karras_denoiser(
            call,
            sigma_data=told.sigma_data,
            highest=told.sigma_max,
            source=weights.source,
        )
    return vp_denoiser(
        call,
        schedule=schedule_of(scheduler, weights.source),
        prediction=prediction_of(scheduler, weights.source),
        rescale=weights.config.get("rescale_timesteps", False),
        source=weights.source,
    )


def _edm_scheduler(settings: Mapping[str, Any], source: str) -> _EdmScheduler:
    try:
        return _EdmScheduler.model_validate(settings)
    except ValidationError as error:
        raise misfit(error, source, theirs={}) from error


def _calling(
    network: nn.Module, worker: Worker
) -> Callable[[Images, torch.Tensor], torch.Tensor]:
    settings: Any = network.config
    placed = place(network, worker)

    def call(scaled: Images, time: torch.Tensor) -> torch.Tensor:
        require_indexable(scaled, settings)
        (output,) = placed(to_network(scaled, worker), time, return_dict=False)
        return output.float()

    return call
