"""Classifiers of the timm collection, with their own resize and normalisation."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float32
from pydantic import BaseModel, Field, field_validator
from torch import nn
from torch.nn import functional

from ops.classify.arch import require_arch
from ops.classify.input_layer import InputLayer
from ops.classify.logits import Images, Logits, open_logits
from ops.columns import Worker
from ops.networks import fill, read_weights
from ops.weights import Weights, WeightsRef

Resized = Float32[torch.Tensor, "copy channel new_height new_width"]

INTERPOLATIONS = ("bilinear", "bicubic")
ROUNDING = 1e-6
"""Difference between a buffer in a file and the same one computed."""


class DataConfig(BaseModel, frozen=True, extra="forbid"):
    """How a network wants its images."""

    size: tuple[int, int]
    """Height and width, in pixels."""

    interpolation: Literal["bilinear", "bicubic"]
    """Of the resize to that size, antialiased."""

    input: InputLayer
    """What happens to the pixels after it."""


class Timm(BaseModel, frozen=True, extra="forbid"):
    """A timm model that takes [0, 1] pixels of any size.

    Size and interpolation come from the data configuration that timm has for the name,
    mean and std too unless ``input`` says otherwise. ``resnet50.tv_in1k`` is
    torchvision's ResNet-50, tensor for tensor: the files of Cohen et al. and those who
    built on them.
    """

    kind: Literal["timm"] = "timm"

    weights: WeightsRef
    """Weights of the network; nothing is ever fetched by name."""

    name: str
    """Architecture and tag, such as ``resnet50.tv_in1k``."""

    input: InputLayer | None = None
    """What happens to the pixels first; ``None``: normalize with timm's mean and std.
    Files that others trained may want another layer than timm's."""

    num_classes: Annotated[int, Field(ge=2)] = 1000
    """Classes it tells apart; ImageNet's unless the weights' last layer has others."""

    @field_validator("name")
    @classmethod
    def _has_a_tag(cls, name: str) -> str:
        architecture, _, tag = name.partition(".")
        if not architecture or not tag:
            raise ValueError(
                f"A timm classifier needs a name with its tag, as in resnet50.tv_in1k; "
                f"it is {name!r}. What a bare name means changes between versions of "
                f"timm, and size, mean and std with it: add the tag."
            )
        return name

    def open(self, worker: Worker) -> Callable[[Images], Logits]:
        """Load the network and return the classifying function.

        Args:
            worker: where to compute, and what reads the weights.

        Returns:
            A function from float32 images of any size to float32 logits.

        Raises:
            ValueError: timm does not know the name, the weights do not fit, or their
                file names another network or input layer.
        """
        return open_logits(*self.filled(worker), worker)

    def filled(self, worker: Worker) -> tuple[nn.Module, Callable[[Images], Resized]]:
        """Return the network with its weights, and what comes before it.

        Args:
            worker: what reads the weights, and where the images are.

        Raises:
            ValueError: timm does not know the name, the weights do not fit, or their
                file names another network or input layer.
        """
        import timm  # takes seconds, so only a worker that needs it pays

        weights = read_weights(self.weights, worker)
        network = self.network()
        require_arch(
            weights, {"kind": self.kind, "name": self.name}, timm.list_models()
        )
        data = self.data_config()
        data.input.require_said_by(weights.config, weights.source)
        fill(network, self.weights, _without_computed(weights, network))
        shift = data.input.open(worker.device)
        return network, lambda image: shift(
            resize(image, data.size, data.interpolation)
        )

    def network(self) -> nn.Module:
        """Return the network behind resize and normalisation, its weights not set.

        Raises:
            ValueError: timm does not know the name.
        """
        import timm  # takes seconds, so only who needs it pays

        self._require_known_name()
        return timm.create_model(
            self.name, pretrained=False, num_classes=self.num_classes
        )

    def data_config(self) -> DataConfig:
        """Return how the network wants its images, as this version of timm has it.

        Votes depend on it and no recipe shows it, so it is part of their identity.

        Raises:
            ValueError: timm does not know the name, or its interpolation is unknown
                here.
        """
        import timm  # takes seconds, so only who needs it pays
        from timm.data.config import resolve_data_config

        self._require_known_name()
        stored = timm.get_pretrained_cfg(self.name)
        assert stored is not None  # timm lists the name
        data: dict[str, Any] = resolve_data_config(pretrained_cfg=stored.to_dict())
        if data["interpolation"] not in INTERPOLATIONS:
            raise ValueError(
                f"A timm classifier needs an interpolation of {INTERPOLATIONS}; the "
                f"data configuration of {self.name} has {data['interpolation']!r}. "
                f"Take another model."
            )
        timms = InputLayer(kind="normalize", mean=data["mean"], std=data["std"])
        _, height, width = data["input_size"]
        return DataConfig(
            size=(height, width),
            interpolation=data["interpolation"],
            input=self.input or timms,
        )

    def _require_known_name(self) -> None:
        import timm  # takes seconds, so only who needs it pays

        if self.name not in timm.list_pretrained():
            raise ValueError(
                f"A timm classifier needs a name that timm {timm.__version__} knows; "
                f"it is {self.name!r}. timm.list_pretrained() lists them."
            )


def resize(image: Images, size: tuple[int, int], mode: str) -> Resized:
    """Return images at the size a network was made for.

    Args:
        image: images of any size.
        size: height and width in pixels.
        mode: bilinear or bicubic; both antialiased, as the filters of image files are.

    Returns:
        Images of this size; the same images if they have it already. Bicubic results
        may exceed the range of the input a little.
    """
    if tuple(image.shape[2:]) == tuple(size):
        return image
    return functional.interpolate(image, size, mode=mode, antialias=True)


def _without_computed(weights: Weights, network: nn.Module) -> Weights:
    """Return weights without the buffers that timm computes, if they are the same."""
    stored = network.state_dict().keys()
    computed = {k: b for k, b in network.named_buffers() if k not in stored}
    for key, buffer in computed.items():
        if key in weights.tensors and not _same(weights.tensors[key], buffer):
            raise ValueError(
                f"A timm classifier needs {key!r} as timm computes it; "
                f"{weights.source} has another. Take the model and the size that the "
                f"file was made for."
            )
    tensors = {k: t for k, t in weights.tensors.items() if k not in computed}
    return Weights(weights.source, tensors, weights.config)


def _same(tensor: torch.Tensor, buffer: torch.Tensor) -> bool:
    # In float64, for a file may hold indices as another type of integers.
    return tensor.shape == buffer.shape and torch.allclose(
        tensor.double(), buffer.double(), rtol=ROUNDING, atol=ROUNDING
    )
