"""The perceptual metric LPIPS, of the features of a VGG16."""

import importlib
import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float, Float32
from pydantic import BaseModel, PositiveInt
from torch import nn
from torch.nn import functional

from ops.columns import Worker
from ops.losses.feature_distance import squared_differences
from ops.networks import fill, place, read_weights
from ops.weights import Weights, WeightsRef

Images = Float32[torch.Tensor, "image channel height width"]
Distance = Callable[[Images, Images], Float[torch.Tensor, " image"]]

FEATURES = "features."
"""How torchvision's and timm's files begin the names of a VGG16's convolutions."""


class LpipsVgg(BaseModel, frozen=True, extra="forbid"):
    """Weighted squared differences of VGG16 features, as people see them.

    The layers' weights are those inside the package ``lpips``, version 0.1; the
    convolutions are read from a file, and nothing is ever fetched.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, equation 1.
    """

    kind: Literal["lpips_vgg"] = "lpips_vgg"

    weights: WeightsRef
    """A VGG16 trained on ImageNet, as torchvision or timm have it; its linear layers
    are not read."""

    size: PositiveInt | None = 224
    """Height and width to which images are resized, bilinearly; ``None`` leaves them,
    and VGG16 needs 16 pixels."""

    def open(self, worker: Worker) -> Distance:
        """Load the network and return the metric.

        Args:
            worker: where to compute, and what reads the weights.

        Returns:
            A function of two batches of [-1, 1] images of 3 channels, at least 0.
            Gradients flow into both.

        Raises:
            ValueError: the package ``lpips`` is not there, or the weights do not fit.
        """
        metric = self._filled(worker)
        place(metric, worker)

        def distance(first: Images, second: Images) -> Float[torch.Tensor, " image"]:
            pairs = zip(
                self._features(metric, first, worker),
                self._features(metric, second, worker),
                metric.lins,
                strict=True,
            )
            layers = [
                lin(squared_differences(*pair).to(worker.precision))
                for *pair, lin in pairs
            ]
            means = [one.float().mean(dim=(1, 2, 3)) for one in layers]
            return torch.stack(means).sum(dim=0)

        return distance

    def _features(
        self, metric: Any, image: Images, worker: Worker
    ) -> list[torch.Tensor]:
        if self.size is not None:
            image = functional.interpolate(
                image, (self.size, self.size), mode="bilinear", align_corners=False
            )
        seen = metric.net(metric.scaling_layer(image).to(worker.precision))
        return [layer.float() for layer in seen]

    def _filled(self, worker: Worker) -> Any:
        try:
            lpips: Any = importlib.import_module("lpips")  # an extra
        except ModuleNotFoundError as error:
            raise ValueError(
                f"The metric lpips_vgg needs the package lpips; this Python has "
                f"no {error.name}. Install diffsmooth[lpips], or take the "
                f"metric l2, l1, huber or features."
            ) from error
        weights = read_weights(self.weights, worker)
        with warnings.catch_warnings():
            # The package asks torchvision for a network in a way of the past.
            warnings.filterwarnings("ignore", module="torchvision.models._utils")
            metric = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
        fill(_convolutions(metric.net), self.weights, _without_head(weights))
        return metric


def _convolutions(trunk: nn.Module) -> nn.Module:
    """Return the trunk's layers under the names they have in a VGG16."""
    named = nn.Module()
    layers = nn.Module()
    for part in trunk.children():
        for name, layer in part.named_children():
            layers.add_module(name, layer)
    named.add_module(FEATURES.rstrip("."), layers)
    return named


def _without_head(weights: Weights) -> Weights:
    tensors = {k: t for k, t in weights.tensors.items() if k.startswith(FEATURES)}
    return Weights(weights.source, tensors, weights.config)
