"""What can be trained, and how it is called under training."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field, PositiveInt
from torch import nn

from ops.classify.cifar_resnet import CifarResnet, Shortcut
from ops.classify.digits_cnn import DigitsCnn
from ops.classify.input_layer import InputLayer
from ops.purify.unet import build_unet
from ops.weights import WeightsRef

NO_WEIGHTS = WeightsRef(untrained=0)
"""Stands where a description needs weights and none exist yet."""


class UnetNetwork(BaseModel, frozen=True, extra="forbid"):
    """A diffusion model's U-Net, published as a folder of diffusers."""

    kind: Literal["unet"] = "unet"

    settings: dict[str, Any]
    """Arguments of ``diffusers.UNet2DModel``."""

    def network(self) -> nn.Module:
        """Return the network, its weights not set."""
        return build_unet(self.settings)

    def predict(
        self, network: nn.Module, device: torch.device
    ) -> Callable[..., torch.Tensor]:
        """Return the function that is trained.

        Args:
            network: what ``network`` returned, perhaps wrapped to train in parallel.
            device: where images are.

        Returns:
            A function from images in [-1, 1] and timesteps to predicted noise.
        """

        def noise(image: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            return network(image, timestep, return_dict=False)[0]

        return noise


class DigitsCnnNetwork(BaseModel, frozen=True, extra="forbid"):
    """The small classifier of the digits."""

    kind: Literal["digits_cnn"] = "digits_cnn"

    input: InputLayer = InputLayer(kind="none")
    """What happens to the pixels first."""

    num_classes: PositiveInt = 10
    """Classes it tells apart."""

    def network(self) -> nn.Module:
        """Return the network behind the input layer, its weights not set."""
        return DigitsCnn(weights=NO_WEIGHTS, num_classes=self.num_classes).network()

    def predict(
        self, network: nn.Module, device: torch.device
    ) -> Callable[..., torch.Tensor]:
        """Return the function from images in [0, 1] to class scores."""
        return behind(self.input, network, device)


class CifarResnetNetwork(BaseModel, frozen=True, extra="forbid"):
    """A ResNet for 32 x 32 images."""

    kind: Literal["cifar_resnet"] = "cifar_resnet"

    depth: PositiveInt
    """Layers, 6n + 2: 20, 32, 44, 56 or 110."""

    shortcut: Shortcut = "B"
    """Where widths change: A pads with zeros, B has a 1 x 1 convolution and norm."""

    input: InputLayer
    """What happens to the pixels first."""

    num_classes: PositiveInt = 10
    """Classes it tells apart."""

    def network(self) -> nn.Module:
        """Return the network behind the input layer, its weights not set."""
        return CifarResnet(
            weights=NO_WEIGHTS,
            depth=self.depth,
            shortcut=self.shortcut,
            input=self.input,
            num_classes=self.num_classes,
        ).network()

    def predict(
        self, network: nn.Module, device: torch.device
    ) -> Callable[..., torch.Tensor]:
        """Return the function from images in [0, 1] to class scores."""
        return behind(self.input, network, device)


ClassifierNetwork = DigitsCnnNetwork | CifarResnetNetwork
Network = Annotated[UnetNetwork | ClassifierNetwork, Field(discriminator="kind")]


def behind(
    layer: InputLayer, network: nn.Module, device: torch.device
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a network with its input layer in front.

    Args:
        layer: what happens to the pixels first.
        network: takes what the layer returns.
        device: where the images are.
    """
    prepare = layer.open(device)
    return lambda image: network(prepare(image))
