"""What the purifier of a run does to a few images, measured beside its theorems."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from ops.classify.classifier import Classifier
from ops.classify.features import open_embedding
from ops.columns import Batch, Worker
from ops.pixels import to_signed
from ops.purify.denoiser import Denoiser
from ops.purify.purify import Purify
from ops.theory.diffusion_network import (
    DiffusionNetwork,
    is_diffusion_model,
    open_network,
    watched,
    watched_denoiser,
)
from ops.theory.theorem2 import noise_error
from ops.theory.theorem33 import distance_to_data
from ops.vote.add_noise import AddNoise
from pipelines.recipe import Run
from pipelines.sample import Sample
from pipelines.stages import run_op
from pipelines.worker import WorkerSettings

STREAM = "theory"
"""Noise of its own, so that no certificate rests on what was looked at."""


@dataclass(frozen=True)
class Network:
    """What was seen of a diffusion model."""

    level: float
    """Std of the noise on the [-1, 1] range that it was told of a copy."""

    alpha_bar: float
    """Share of the image's variance in a scaled copy."""

    errors: Float64[np.ndarray, "image copy"]
    """Squared error of the noise it predicts for a copy, summed over pixels."""

    largest_score: float
    """Norm of the longest score it met, at the copies and on their way."""


@dataclass(frozen=True)
class Measured:
    """What a run's purifier did; lengths are on the [-1, 1] range."""

    num_pixels: int
    """Channels x height x width."""

    noisy: Float64[np.ndarray, "image copy"]
    """Distance of each noisy copy to its image."""

    purified: Float64[np.ndarray, "image copy sample"]
    """Distance of what the purifier made of each copy to its image."""

    network: Network | None
    """``None`` where the purifier is no diffusion model."""

    distance_to_data: float | None
    """Squared Frechet distance of purified images to clean ones, in the features."""

    without_features: str = ""
    """Why there is no such distance."""


def measure(
    run: Run,
    sample: Sample,
    settings: WorkerSettings,
    num_copies: int,
    features: Classifier,
) -> Measured:
    """Purify noisy copies of a few images, and measure what theorems speak of.

    Args:
        run: with weights resolved.
        sample: images of one shape.
        settings: of the actor that would cast votes.
        num_copies: noisy copies of each image.
        features: whose features tell purified images from clean ones, resolved.

    Raises:
        ValueError: weights do not fit the networks.
    """
    # One call per image: copies that fill a call would be met by the network too.
    worker = replace(settings.open(), batch=num_copies)
    with torch.inference_mode():
        look = _Look(run, worker, num_copies)
        for row in range(len(sample.keys)):
            look.at(sample, row)
        distance, why = _distance_to_data(features, worker, look)
        return Measured(
            num_pixels=look.images[0].numel(),
            noisy=np.stack(look.noisy),
            purified=np.stack(look.purified),
            network=look.network(),
            distance_to_data=distance,
            without_features=why,
        )


class _Look:
    """What is found while one image after the other is purified."""

    def __init__(self, run: Run, worker: Worker, num_copies: int) -> None:
        self._device = worker.device
        self._scores: list[float] = []
        add = AddNoise(
            sigma=run.sigma, seed=run.seed, block=num_copies, noise=run.noise
        )
        purifier: Any = watched(run.purifier, self._note)
        purify = Purify(purifier=purifier, sigma=run.sigma, seed=run.seed)
        self._ops = [add.open(worker), purify.open(worker)]
        self._network = _network_of(run, worker)
        self.images: list[torch.Tensor] = []
        self.results: list[torch.Tensor] = []
        self.noisy: list[np.ndarray] = []
        self.purified: list[np.ndarray] = []
        self._errors: list[np.ndarray] = []

    def at(self, sample: Sample, row: int) -> None:
        """Purify the copies of one image.

        Args:
            sample: whose image.
            row: which of them.
        """
        columns: Batch = {
            "image": sample.images[row][None],
            "image_key": [sample.keys[row]],
            "stream": [STREAM],
            "block": [0],
        }
        for function in self._ops:
            columns = run_op(function, columns)
        image = torch.as_tensor(sample.images[row]).to(self._device)
        noisy, purified = columns["noisy"][0], columns["purified"][0]
        self.images.append(image)
        self.results.append(purified)
        self.noisy.append(_distances(noisy, image))
        self.purified.append(_distances(purified, image).reshape(len(noisy), -1))
        if self._network is not None:
            self._errors.append(self._denoised(self._network, noisy, image))

    def _denoised(
        self, network: DiffusionNetwork, noisy: torch.Tensor, image: torch.Tensor
    ) -> np.ndarray:
        denoiser: Denoiser = watched_denoiser(network.denoiser, self._note)
        signed = to_signed(noisy)
        clean = to_signed(image).expand_as(signed)
        error = noise_error(denoiser(signed, network.level), clean, network.level)
        return error.cpu().numpy()

    def _note(self, scores: Float64[torch.Tensor, " copy"]) -> None:
        self._scores.append(float(scores.max()))

    def network(self) -> Network | None:
        """Return what was seen of the diffusion model, if there is one."""
        if self._network is None:
            return None
        return Network(
            level=self._network.level,
            alpha_bar=self._network.alpha_bar,
            errors=np.stack(self._errors),
            largest_score=max(self._scores),
        )


def _network_of(run: Run, worker: Worker) -> DiffusionNetwork | None:
    if not is_diffusion_model(run.purifier):
        return None
    return open_network(run.purifier, worker, run.sigma)


def _distances(copies: torch.Tensor, image: torch.Tensor) -> np.ndarray:
    """Return the l2 distances of copies to an image, on the [-1, 1] range."""
    apart = to_signed(copies).double() - to_signed(image).double()
    return apart.flatten(1).norm(dim=1).cpu().numpy()


def _distance_to_data(
    features: Classifier, worker: Worker, look: _Look
) -> tuple[float | None, str]:
    """Return the distance, or why there is none."""
    try:
        embed: Callable[[torch.Tensor], torch.Tensor] = open_embedding(features, worker)
    except ValueError as refusal:
        return None, str(refusal)
    clean, purified = torch.stack(look.images), torch.cat(look.results)
    return distance_to_data(embed, clean, purified, worker.batch), ""
