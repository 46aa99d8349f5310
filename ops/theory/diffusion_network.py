"""The diffusion model inside a purifier, and where it is called."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from jaxtyping import Float64

from ops.columns import Worker
from ops.networks import read_weights
from ops.purify.denoiser import Denoiser, Images, Noise
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.open_denoiser import DenoisingNetwork, denoiser_of
from ops.purify.purifying import RandomPurifier
from ops.purify.scheduler_settings import ddpm_scheduler, prediction_of, schedule_of
from ops.purify.unet import refuse_openai_layout
from ops.schedules import sigma_signed_of
from ops.theory.theorem1 import score_norm
from ops.weights import Weights

Note = Callable[[Float64[torch.Tensor, " copy"]], None]
"""Is told the norms of the scores that a denoiser meets."""


@dataclass(frozen=True)
class DiffusionNetwork:
    """A purifier's denoiser, and the noise for which the purifier calls it first."""

    denoiser: Denoiser
    """Of any noise."""

    level: float
    """Std of the noise on the [-1, 1] range that it is told of a copy."""

    @property
    def alpha_bar(self) -> float:
        """Share of the image's variance in a scaled copy, in (0, 1)."""
        return 1.0 / (1.0 + self.level**2)


def is_diffusion_model(purifier: RandomPurifier) -> bool:
    """Return whether a purifier rests on a network that predicts noise.

    Args:
        purifier: any.
    """
    return isinstance(purifier, OneShotDdpm | DenoisingNetwork)


def open_network(
    purifier: RandomPurifier, worker: Worker, sigma: float
) -> DiffusionNetwork:
    """Load the diffusion model of a purifier.

    Args:
        purifier: one_shot_ddpm, or one with any diffusion model as a denoiser.
        worker: where to compute, and what reads the weights.
        sigma: std of the certified noise in [0, 1] pixels, above 0.

    Raises:
        ValueError: the purifier is no diffusion model, its weights do not fit, or it
            does not know this noise.
    """
    if isinstance(purifier, OneShotDdpm):
        return _of_one_shot(purifier, worker, sigma)
    if isinstance(purifier, DenoisingNetwork):
        denoiser = purifier.open_denoiser(worker)
        denoiser.require(2.0 * sigma)
        return DiffusionNetwork(denoiser, 2.0 * sigma)
    raise ValueError(without_diffusion_model(purifier.kind))


def without_diffusion_model(kind: str) -> str:
    """Return what theorems on diffusion models say of a purifier that is none.

    Args:
        kind: of the purifier.
    """
    return (
        f"Theorems 1 and 2 need a purifier with a network that predicts noise; the "
        f"purifier is {kind}. Take one_shot_ddpm, edm, pf_ode or reverse_chain."
    )


def _of_one_shot(
    purifier: OneShotDdpm, worker: Worker, sigma: float
) -> DiffusionNetwork:
    weights = read_weights(purifier.weights, worker)
    refuse_openai_layout(weights)
    moment = purifier.moment(weights, sigma)
    said = weights.config.get("scheduler", {})
    schedule = purifier.schedule or schedule_of(said, weights.source)
    prediction = purifier.prediction or prediction_of(said, weights.source)
    rescale = purifier.rescale_timesteps
    if rescale is None:
        rescale = weights.config.get("rescale_timesteps", False)
    config = {
        **weights.config,
        "scheduler": ddpm_scheduler(schedule, prediction),
        "rescale_timesteps": rescale,
    }
    told = Weights(weights.source, weights.tensors, config)
    denoiser = denoiser_of(purifier.network(weights), told, worker)
    level = float(sigma_signed_of(schedule.alpha_bar())[moment.timestep])
    return DiffusionNetwork(denoiser, level)


def watched(purifier: RandomPurifier, note: Note) -> RandomPurifier:
    """Return a purifier that does the same and tells of the scores it meets.

    Args:
        purifier: any; one whose network is not called as a denoiser tells nothing.
        note: is told at every call of the network.
    """
    if not isinstance(purifier, DenoisingNetwork):
        return purifier
    kind: Any = type(purifier)

    class Watched(kind):
        """The same purifier, whose denoiser is watched."""

        def open_denoiser(self, worker: Worker) -> Denoiser:
            """Return the denoiser, which tells of each call."""
            return watched_denoiser(super().open_denoiser(worker), note)

    return cast(RandomPurifier, Watched(**dict(purifier)))


def watched_denoiser(denoiser: Denoiser, note: Note) -> Denoiser:
    """Return a denoiser that does the same and tells of the scores it meets.

    Args:
        denoiser: any.
        note: is told at every call.
    """

    def call(noisy: Images, level: Noise) -> tuple[Images, Images | None]:
        clean, variance = denoiser.call(noisy, level)
        note(score_norm(noisy, clean, level))
        return clean, variance

    return replace(denoiser, call=call)
