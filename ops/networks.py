"""From a reference to weights to a network that is ready to be called."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float32
from torch import nn

from ops.columns import Worker
from ops.initialise import initialise
from ops.weights import Weights, WeightsRef, fit_weights


def read_weights(reference: WeightsRef, worker: Worker) -> Weights:
    """Return what a reference names; for untrained weights, no tensors and no settings.

    Args:
        reference: where the weights come from.
        worker: reads the file.

    Returns:
        Tensors and settings, both empty if the reference says ``untrained``.
    """
    if reference.untrained is not None:
        return Weights(f"untrained weights of seed {reference.untrained}", {})
    return worker.weights(reference)


def fill(network: nn.Module, reference: WeightsRef, weights: Weights) -> nn.Module:
    """Put weights into a network, read or, if the reference says so, random.

    Args:
        network: the network to fill; changed in place.
        reference: where the weights come from.
        weights: what ``read_weights`` made of the reference.

    Returns:
        The same network.

    Raises:
        ValueError: the tensors do not fit; names the first of each sort that does not.
    """
    if reference.untrained is not None:
        return initialise(network, reference.untrained)
    tensors = {**_counters(network), **weights.tensors}
    return fit_weights(network, Weights(weights.source, tensors, weights.config))


def _counters(network: nn.Module) -> Mapping[str, torch.Tensor]:
    """Return batch norms' step counters, which old files lack and no result reads."""
    state = network.state_dict()
    return {key: state[key] for key in state if key.endswith(".num_batches_tracked")}


def place(network: nn.Module, worker: Worker) -> Callable[..., Any]:
    """Freeze a network and put it where and how the worker computes.

    Args:
        network: the network, filled.
        worker: device, precision and whether to compile.

    Returns:
        The network in evaluation mode, without gradients of its weights, its
        convolutions channels last.
    """
    network.requires_grad_(False).eval()
    # Not network.to: diffusers' own warns at every cast of a list that is empty.
    nn.Module.to(network, worker.device, worker.precision)
    nn.Module.to(network, memory_format=torch.channels_last)
    if not worker.compiled:
        return network
    return torch.compile(network, fullgraph=True, dynamic=False)


def to_network(
    image: Float32[torch.Tensor, "copy channel height width"], worker: Worker
) -> torch.Tensor:
    """Return images in the type and layout in which networks compute.

    Args:
        image: float32 images on the worker's device.
        worker: says which precision.

    Returns:
        The same values, rounded to the precision, channels last.
    """
    return image.to(worker.precision, memory_format=torch.channels_last)
