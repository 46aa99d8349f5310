"""Train a consistency model to return the clean image at the levels it purifies."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float32
from pydantic import Field, PositiveFloat, model_validator

from ops.columns import Worker
from ops.losses.consistency_model import (
    ConsistencyModelObjective,
    one_of,
    with_noise,
)
from ops.losses.minibatch import Minibatch
from ops.losses.one_sigma import Loss
from ops.pixels import to_signed


class ConsistencyFinetuning(ConsistencyModelObjective, frozen=True, extra="forbid"):
    """Distance of purified images to clean ones, over the noises that are certified.

    With a perceptual metric the images keep their detail; with l2 or l1 the network
    becomes a denoiser that returns the mean or the median of what may be behind.

    Source:
        Consistency Purification, Li et al. 2024, arXiv:2407.00623, section 3.3.
    """

    kind: Literal["consistency_finetuning"] = "consistency_finetuning"

    sigma: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    """Stds of the certified noise in [0, 1] pixels, each as often as another."""

    @model_validator(mode="after")
    def _knows_their_levels(self) -> "ConsistencyFinetuning":
        self.told_levels()
        return self

    def told_levels(self) -> list[float]:
        """Return what the network is told of each sigma: the nearest of its levels.

        Raises:
            ValueError: a sigma is above all of them.
        """
        levels = self.model.levels()
        values = levels.values()
        return [float(values[levels.nearest(2.0 * sigma)]) for sigma in self.sigma]

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the training."""
        return {**super().said(), "sigma": list(self.sigma)}

    def open(self, worker: Worker) -> Loss:
        """Load what the metric needs and return the loss.

        Args:
            worker: where to compute, and what reads the weights.

        Returns:
            A function of a network and a minibatch, at least 0.

        Raises:
            ValueError: the metric's weights do not fit.
        """
        distance = self.metric.open(worker)
        has = torch.tensor(self.sigma, dtype=torch.float64, device=worker.device) * 2.0
        told = torch.tensor(
            self.told_levels(), dtype=torch.float64, device=worker.device
        )

        def loss(
            network: Callable[..., torch.Tensor], batch: Minibatch
        ) -> Float32[torch.Tensor, ""]:
            index = one_of(len(has), batch, "sigma")
            signed = to_signed(batch.image)
            noisy = with_noise(signed, batch.gaussian("noise"), has[index])
            found = self.clean(network, noisy, told[index])
            return batch.mean(distance(found, signed))

        return loss
