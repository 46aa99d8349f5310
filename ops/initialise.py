"""Random weights that follow from a seed, for networks that were never trained."""

import math
from typing import TypeVar

import torch
from torch import nn

from ops.noise import gaussian, noise_key

Network = TypeVar("Network", bound=nn.Module)


def initialise(module: Network, seed: int, gain: float = 1.0) -> Network:
    """Fill a network with random weights that depend on the seed and nothing else.

    Parameters of two or more dimensions are drawn from a normal distribution of std
    ``gain * sqrt(2 / fan_in)``, each from the key of its own name. Biases become 0;
    other vectors, such as the weights of norms, keep what the constructor gave them.

    Args:
        module: network to fill; changed in place.
        seed: names the draw, at least 0.
        gain: factor on the std, above 0.

    Returns:
        The same module.

    Source:
        He et al. 2015, arXiv:1502.01852, equation 10.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() >= 2:
                parameter.copy_(_draw(name, parameter.shape, seed) * gain)
            elif name.endswith("bias"):
                parameter.zero_()
    return module


def _draw(name: str, shape: torch.Size, seed: int) -> torch.Tensor:
    key = noise_key(seed, 0.0, name, "initialise", 0)
    fan_in = shape.numel() // shape[0]
    return gaussian(key, 0, 1, tuple(shape), "cpu")[0] * math.sqrt(2.0 / fan_in)
