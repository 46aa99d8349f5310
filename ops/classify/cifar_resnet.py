"""The ResNets of the CIFAR literature, of 6n + 2 layers."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from ops.classify.arch import require_arch
from ops.classify.input_layer import InputLayer
from ops.classify.logits import Images, Logits, open_logits
from ops.columns import Worker
from ops.networks import fill, read_weights
from ops.weights import WeightsRef

Shortcut = Literal["A", "B"]
WIDTHS = (16, 32, 64)


class CifarResnet(BaseModel, frozen=True, extra="forbid"):
    """A ResNet for 32 x 32 images with 16, 32 and 64 channels.

    The kind of shortcut also settles how the public files name their tensors:
    ``A`` as in pytorch_resnet_cifar10 (``linear`` at the end, no tensors in shortcuts),
    ``B`` as in the files of Cohen et al., SmoothAdv, MACER and Consistency (``fc`` at
    the end, ``downsample.0`` and ``downsample.1`` in shortcuts).

    Source:
        He et al. 2016, arXiv:1512.03385, section 4.2; Cohen, Rosenfeld and Kolter
        2019, arXiv:1902.02918 (depth 110).
    """

    kind: Literal["cifar_resnet"] = "cifar_resnet"

    weights: WeightsRef
    """Weights of the network."""

    depth: PositiveInt
    """Layers, 6n + 2: 20, 32, 44, 56 or 110."""

    shortcut: Shortcut
    """Where widths change: A pads with zeros, B has a 1 x 1 convolution and norm."""

    input: InputLayer
    """What happens to the pixels first."""

    num_classes: Annotated[int, Field(ge=2)] = 10
    """Classes it tells apart."""

    @model_validator(mode="after")
    def _has_whole_blocks(self) -> "CifarResnet":
        if self.depth < 8 or (self.depth - 2) % 6:
            raise ValueError(
                f"cifar_resnet needs a depth of 6n + 2 from 8 on; it is {self.depth}. "
                f"Take 20, 32, 44, 56 or 110."
            )
        return self

    def open(self, worker: Worker) -> Callable[[Images], Logits]:
        """Load the network and return the classifying function.

        Args:
            worker: where to compute, and what reads the weights.

        Returns:
            A function from float32 images to float32 logits.

        Raises:
            ValueError: the weights do not fit, or their file names another network or
                input layer.
        """
        return open_logits(*self.filled(worker), worker)

    def filled(self, worker: Worker) -> tuple[nn.Module, Callable[[Images], Images]]:
        """Return the network with its weights, and what comes before it.

        Args:
            worker: what reads the weights, and where the images are.

        Raises:
            ValueError: the weights do not fit, or their file names another network or
                input layer.
        """
        weights = read_weights(self.weights, worker)
        require_arch(weights, self.model_dump(include={"kind", "depth", "shortcut"}))
        self.input.require_said_by(weights.config, weights.source)
        network = fill(self.network(), self.weights, weights)
        return network, self.input.open(worker.device)

    def network(self) -> nn.Module:
        """Return the network behind the input layer, its weights not set."""
        return ResNet(self.depth, self.shortcut, self.num_classes)


class ResNet(nn.Module):
    """Three stages of residual blocks between a convolution and a linear layer."""

    def __init__(self, depth: int, shortcut: Shortcut, num_classes: int) -> None:
        super().__init__()
        num_blocks = (depth - 2) // 6
        self.conv1 = _convolution(3, WIDTHS[0], stride=1)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], num_blocks, shortcut)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], num_blocks, shortcut)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], num_blocks, shortcut)
        self.last = "linear" if shortcut == "A" else "fc"
        self.add_module(self.last, nn.Linear(WIDTHS[2], num_classes))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits of normalised images."""
        features = functional.relu(self.bn1(self.conv1(image)))
        features = self.layer3(self.layer2(self.layer1(features)))
        return getattr(self, self.last)(features.mean(dim=(2, 3)))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, shortcut: Shortcut) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = _convolution(inputs, outputs, stride=stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _convolution(outputs, outputs, stride=1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        self.padding = (outputs - inputs) // 2
        if shortcut == "B" and inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        inner = functional.relu(self.bn1(self.conv1(features)))
        inner = self.bn2(self.conv2(inner))
        return functional.relu(inner + self._past(features))

    def _past(self, features: torch.Tensor) -> torch.Tensor:
        if self.downsample is not None:
            return self.downsample(features)
        if self.padding == 0:
            return features
        every_other = features[:, :, ::2, ::2]
        return functional.pad(every_other, (0, 0, 0, 0, self.padding, self.padding))


def _stage(
    inputs: int, outputs: int, num_blocks: int, shortcut: Shortcut
) -> nn.Sequential:
    first = _Block(inputs, outputs, shortcut)
    rest = (_Block(outputs, outputs, shortcut) for _ in range(num_blocks - 1))
    return nn.Sequential(first, *rest)


def _convolution(inputs: int, outputs: int, *, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
