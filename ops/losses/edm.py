"""Train a network to denoise over all levels of noise, preconditioned."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float32
from pydantic import PositiveFloat

from ops.columns import Worker
from ops.losses.diffusion_objective import DiffusionObjective
from ops.losses.minibatch import Minibatch
from ops.pixels import to_signed
from ops.purify.karras import loss_weight, precondition
from ops.purify.scheduler_settings import edm_scheduler


class EdmObjective(DiffusionObjective, frozen=True, extra="forbid"):
    """Squared error of the denoised image, weighted, at log-normal levels of noise.

    Source:
        Karras et al. 2022, arXiv:2206.00364, table 1, column EDM.
    """

    kind: Literal["edm"] = "edm"

    sigma_data: PositiveFloat = 0.5
    """Std of the images' pixels, on the [-1, 1] range."""

    log_mean: float = -1.2
    """Mean of the logarithm of the noise's std, on the [-1, 1] range (P_mean)."""

    log_std: PositiveFloat = 1.2
    """Std of that logarithm (P_std)."""

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the training."""
        return {"objective": self.kind, "sigma_data": self.sigma_data}

    def scheduler(self) -> dict[str, Any]:
        """Return the levels of noise, as a scheduler of diffusers."""
        return edm_scheduler(self.sigma_data)

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
            network: maps scaled noisy images and quarter logarithms of their noise's
                std to an output of the images' shape.
            batch: images, with the noise and the levels that belong to them.

        Returns:
            A scalar of at least 0; near 1 for a network that returns 0 on images
            whose pixels have std ``sigma_data`` about mean 0.
        """
        log_sigma = self.log_mean + self.log_std * batch.standard_normal("sigma")
        noise = batch.gaussian("noise")
        return batch.mean(
            edm_loss(
                network,
                batch.image,
                noise,
                sigma_signed=log_sigma.exp(),
                sigma_data=self.sigma_data,
            )
        )


def edm_loss(
    network: Callable[..., torch.Tensor],
    image: Float32[torch.Tensor, "image channel height width"],
    noise: Float32[torch.Tensor, "image channel height width"],
    *,
    sigma_signed: Float32[torch.Tensor, " image"],
    sigma_data: float,
) -> Float32[torch.Tensor, " image"]:
    """Return the weighted squared error of denoised images.

    Args:
        network: as for ``ops.purify.karras.precondition``.
        image: pixels in [0, 1]; moved to [-1, 1] here.
        noise: of mean 0 and std 1.
        sigma_signed: std the noise gets, on the [-1, 1] range, above 0.
        sigma_data: std of the images' pixels, on that range, above 0.

    Returns:
        Mean over pixels, a number per image, at least 0.

    Source:
        Karras et al. 2022, arXiv:2206.00364, equations 2 and 8.
    """
    signed = to_signed(image)
    denoise = precondition(network, sigma_signed, sigma_data)
    error = denoise(signed + sigma_signed.view(-1, 1, 1, 1) * noise) - signed
    weight = loss_weight(sigma_signed, sigma_data)
    return weight * error.square().flatten(1).mean(dim=1)
