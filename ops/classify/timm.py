"""Classifiers of the timm collection, with their own resize and normalisation."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float32
from pydantic import BaseModel, Field, field_validator
from torch import nn
from torch.nn import functional

from ops.classify.input_layer import InputLayer
from ops.classify.logits import Images, Logits, open_logits
from ops.columns import Worker
from ops.networks import fill, read_weights
from ops.weights import Weights, WeightsRef

Resized = Float32[torch.Tensor, "copy channel new_height new_width"]

INTERPOLATIONS = ("bilinear", "bicubic")
RECOMPUTED = "relative_position_index"
"""A buffer in BEiT files of timm 0.9, which newer versions compute."""


class Timm(BaseModel, frozen=True, extra="forbid"):
    """A timm model that takes [0, 1] pixels of any size.

    Size, interpolation, mean and std come from the model's own data configuration.
    """

    kind: Literal["timm"] = "timm"

    weights: WeightsRef
    """Weights of the network; nothing is ever fetched by name."""

    name: str
    """Architecture and tag, such as ``resnet50.tv_in1k``."""

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
                file names another mean or std than timm.
        """
        weights = read_weights(self.weights, worker)
        network = self.network()
        data = _data_config(network)
        layer = InputLayer(kind="normalize", mean=data["mean"], std=data["std"])
        layer.require_said_by(weights.config, weights.source)
        fill(network, self.weights, _without_recomputed(weights))
        shift = layer.open(worker.device)
        size, mode = data["input_size"][1:], data["interpolation"]
        return open_logits(
            network, lambda image: shift(resize(image, size, mode)), worker
        )

    def network(self) -> nn.Module:
        """Return the network behind resize and normalisation, its weights not set.

        Raises:
            ValueError: timm does not know the name.
        """
        import timm  # takes seconds, so only a worker that needs it pays

        if self.name not in timm.list_pretrained():
            raise ValueError(
                f"A timm classifier needs a name that timm {timm.__version__} knows; "
                f"it is {self.name!r}. timm.list_pretrained() lists them."
            )
        return timm.create_model(
            self.name, pretrained=False, num_classes=self.num_classes
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


def _data_config(network: nn.Module) -> dict[str, Any]:
    # timm takes seconds to import, so only a worker that needs it pays.
    from timm.data.config import resolve_model_data_config

    data: dict[str, Any] = resolve_model_data_config(network)
    if data["interpolation"] not in INTERPOLATIONS:
        raise ValueError(
            f"A timm classifier needs an interpolation of {INTERPOLATIONS}; the "
            f"model's data configuration has {data['interpolation']!r}. Take another "
            f"model."
        )
    return data


def _without_recomputed(weights: Weights) -> Weights:
    tensors: dict[str, torch.Tensor] = {
        key: tensor
        for key, tensor in weights.tensors.items()
        if not key.endswith(RECOMPUTED)
    }
    return Weights(weights.source, tensors, weights.config)
