"""Open the denoiser that a file of weights is, whatever it was trained as."""

from collections.abc import Callable
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from ops.columns import Worker
from ops.networks import fill, place, read_weights, to_network
from ops.purify.denoiser import Denoiser, Images, karras_denoiser, vp_denoiser
from ops.purify.fingerprint import require_fingerprint
from ops.purify.scheduler_settings import (
    EDM_SCHEDULER,
    prediction_of,
    schedule_of,
)
from ops.purify.unet import (
    build_unet,
    refuse_openai_layout,
    rename_old_attention,
    require_indexable,
)
from ops.weights import Weights, WeightsRef

HIGHEST_LEVEL = 80.0
"""Up to which noise preconditioned networks are trained where their file is silent."""

USUAL_SIGMA_DATA = 0.5
"""Std of clean pixels where the file of a preconditioned network is silent."""


class DenoisingNetwork(BaseModel, frozen=True, extra="forbid"):
    """A diffusion model of any kind, as a denoiser."""

    weights: WeightsRef
    """Weights of a UNet2DModel with a scheduler, of DDPM or EDM."""

    unet: dict[str, Any] | None = None
    """Arguments of ``diffusers.UNet2DModel``; ``None`` takes them from the weights."""

    scheduler: dict[str, Any] | None = None
    """A scheduler's settings as diffusers writes them; ``None`` takes the weights'."""

    def open_denoiser(self, worker: Worker) -> Denoiser:
        """Load the network and return the denoiser.

        Args:
            worker: where to compute, and what reads the weights.

        Raises:
            ValueError: settings are missing, or weights do not fit or are not those
                that were converted.
        """
        weights = read_weights(self.weights, worker)
        refuse_openai_layout(weights)
        return denoiser_of(self._network(weights), self._told(weights), worker)

    def _told(self, weights: Weights) -> Weights:
        if self.scheduler is None:
            return weights
        config = {**weights.config, "scheduler": self.scheduler}
        return Weights(weights.source, weights.tensors, config)

    def _network(self, weights: Weights) -> nn.Module:
        settings = self.unet or weights.config.get("unet")
        if settings is None:
            raise ValueError(
                f"A diffusion model needs the settings of its UNet2DModel; "
                f"{weights.source} has none. Set `unet` in the recipe, or take weights "
                f"with a config.json."
            )
        tensors = rename_old_attention(weights.tensors)
        renamed = Weights(weights.source, tensors, weights.config)
        heads = weights.config.get("attention_heads")
        network = fill(build_unet(settings, heads), self.weights, renamed)
        require_fingerprint(network, weights.config, weights.source)
        return network


def denoiser_of(network: nn.Module, weights: Weights, worker: Worker) -> Denoiser:
    """Return the denoiser that a U-Net is, by what its file says of its scheduler.

    Args:
        network: a filled ``diffusers.UNet2DModel``.
        weights: whose settings are read.
        worker: where to compute.

    Raises:
        ValueError: the scheduler describes no denoiser of known levels.
    """
    scheduler = weights.config.get("scheduler", {})
    call = _calling(network, worker)
    if scheduler.get("_class_name") == EDM_SCHEDULER:
        return karras_denoiser(
            call,
            sigma_data=scheduler.get("sigma_data", USUAL_SIGMA_DATA),
            highest=scheduler.get("sigma_max", HIGHEST_LEVEL),
            source=weights.source,
        )
    return vp_denoiser(
        call,
        schedule=schedule_of(scheduler, weights.source),
        prediction=prediction_of(scheduler, weights.source),
        rescale=weights.config.get("rescale_timesteps", False),
        source=weights.source,
    )


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
