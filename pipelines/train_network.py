"""What can be trained, and how it is called under training."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import BaseModel, Field, PositiveInt, model_validator
from torch import nn

from ops.classify.cifar_resnet import CifarResnet, Shortcut
from ops.classify.digits_cnn import DigitsCnn
from ops.classify.input_layer import InputLayer
from ops.classify.timm import Timm, resize
from ops.classify.timm_training import training_network
from ops.purify.dncnn import Depth, Dncnn
from ops.purify.unet import build_unet
from ops.weights import WeightsRef

NO_WEIGHTS = WeightsRef(untrained=0)
"""Stands where a description needs weights and none exist yet."""


class UnetNetwork(BaseModel, frozen=True, extra="forbid"):
    """A diffusion model's U-Net, published as a folder of diffusers."""

    kind: Literal["unet"] = "unet"
    trains: ClassVar[str] = "diffusion"

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
            A function from images as a diffusion model meets them, and what it is told
            of their noise, to what it predicts.
        """

        def prediction(image: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            return network(image, timestep, return_dict=False)[0]

        return prediction


class DigitsCnnNetwork(BaseModel, frozen=True, extra="forbid"):
    """The small classifier of the digits."""

    kind: Literal["digits_cnn"] = "digits_cnn"
    trains: ClassVar[str] = "classifier"

    input: InputLayer = InputLayer(kind="none")
    """What happens to the pixels first."""

    num_classes: Annotated[int, Field(ge=2)] = 10
    """Classes it tells apart."""

    def network(self) -> nn.Module:
        """Return the network behind the input layer, its weights not set."""
        return DigitsCnn(weights=NO_WEIGHTS, num_classes=self.num_classes).network()

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the network."""
        return {
            "arch": self.kind,
            "num_classes": self.num_classes,
            **_said_of(self.input),
        }

    def predict(
        self, network: nn.Module, device: torch.device
    ) -> Callable[..., torch.Tensor]:
        """Return the function from images in [0, 1] to class scores."""
        return behind(self.input, network, device)


class CifarResnetNetwork(BaseModel, frozen=True, extra="forbid"):
    """A ResNet for 32 x 32 images."""

    kind: Literal["cifar_resnet"] = "cifar_resnet"
    trains: ClassVar[str] = "classifier"

    depth: PositiveInt
    """Layers, 6n + 2: 20, 32, 44, 56 or 110."""

    shortcut: Shortcut = "B"
    """Where widths change: A pads with zeros, B has a 1 x 1 convolution and norm."""

    input: InputLayer
    """What happens to the pixels first."""

    num_classes: Annotated[int, Field(ge=2)] = 10
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

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the network."""
        return {
            "arch": self.kind,
            **self.model_dump(include={"depth", "shortcut", "num_classes"}),
            **_said_of(self.input),
        }

    def predict(
        self, network: nn.Module, device: torch.device
    ) -> Callable[..., torch.Tensor]:
        """Return the function from images in [0, 1] to class scores."""
        return behind(self.input, network, device)


class TimmNetwork(BaseModel, frozen=True, extra="forbid"):
    """A network of the timm collection, behind timm's own resize and normalisation."""

    kind: Literal["timm"] = "timm"
    trains: ClassVar[str] = "classifier"

    name: str
    """Architecture and tag, such as ``resnet50.tv_in1k``; the tag settles how images
    are prepared, and no weights are fetched by it."""

    num_classes: Annotated[int, Field(ge=2)]
    """Classes it tells apart."""

    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Chance that the last residual branch rests in a step; earlier ones less often."""

    @model_validator(mode="after")
    def _has_a_tag(self) -> Self:
        self.classifier()
        return self

    def classifier(self) -> Timm:
        """Return the classifier that the weights will be read as."""
        return Timm(weights=NO_WEIGHTS, name=self.name, num_classes=self.num_classes)

    def network(self) -> nn.Module:
        """Return the network behind resize and normalisation, its weights not set."""
        return training_network(self.classifier(), self.drop_path)

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the network."""
        return {
            "arch": self.name.partition(".")[0],
            "name": self.name,
            "num_classes": self.num_classes,
            **_said_of(self.classifier().data_config().input),
        }

    def predict(
        self, network: nn.Module, device: torch.device
    ) -> Callable[..., torch.Tensor]:
        """Return the function from images in [0, 1] of any size to class scores."""
        data = self.classifier().data_config()
        scores = behind(data.input, network, device)
        return lambda image: scores(resize(image, data.size, data.interpolation))


class DncnnNetwork(BaseModel, frozen=True, extra="forbid"):
    """A plain convolutional denoiser."""

    kind: Literal["dncnn"] = "dncnn"
    trains: ClassVar[str] = "denoiser"

    depth: Depth = 17
    """Convolutions."""

    width: PositiveInt = 64
    """Channels between them; wide ones have 128."""

    channels: PositiveInt = 3
    """Channels of an image."""

    def network(self) -> nn.Module:
        """Return the network, its weights not set."""
        sizes = self.model_dump(include={"depth", "width", "channels"})
        return Dncnn(weights=NO_WEIGHTS, **sizes).network()

    def said(self) -> dict[str, Any]:
        """Return what the weights' file says of the network."""
        sizes = self.model_dump(include={"depth", "width", "channels"})
        return {"arch": self.kind, **sizes}

    def predict(
        self, network: nn.Module, device: torch.device
    ) -> Callable[..., torch.Tensor]:
        """Return the function from noisy images to denoised ones, of [0, 1] pixels."""
        return network


FileNetwork = DigitsCnnNetwork | CifarResnetNetwork | TimmNetwork | DncnnNetwork
"""What is published as one file; each says in it what it is."""

Network = Annotated[UnetNetwork | FileNetwork, Field(discriminator="kind")]
"""What can be trained; chosen by ``kind``."""


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


def _said_of(layer: InputLayer) -> dict[str, Any]:
    """Return an input layer as the settings of a weights file have it."""
    return {"input": layer.kind, "mean": list(layer.mean), "std": list(layer.std)}
