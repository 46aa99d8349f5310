"""A filled network as a function from pixels to float32 logits."""

from collections.abc import Callable

import torch
from jaxtyping import Float32
from torch import nn

from ops.columns import Worker
from ops.networks import place, to_network

Images = Float32[torch.Tensor, "copy channel height width"]
Logits = Float32[torch.Tensor, "copy class"]


def open_logits(
    network: nn.Module, prepare: Callable[[Images], Images], worker: Worker
) -> Callable[[Images], Logits]:
    """Return the function from images to logits.

    Args:
        network: filled with its weights; takes what ``prepare`` returns.
        prepare: resize and normalisation, computed in float32.
        worker: device and precision of the network.

    Returns:
        A function of float32 images in [0, 1], which noise may exceed; its logits are
        float32 whatever the precision, so that ties are no more frequent than need be.
    """
    placed = place(network, worker)

    def logits(image: Images) -> Logits:
        return placed(to_network(prepare(image), worker)).float()

    return logits
