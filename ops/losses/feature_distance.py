"""How far apart images are in what a network sees of them, layer by layer."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch.nn import functional

SMALLEST_NORM = 1e-10
"""Below it, features count as none."""

Layer = Float[torch.Tensor, "image channel height width"]


def squared_differences(own: Layer, other: Layer) -> Layer:
    """Return the squared differences of features of unit length over channels.

    Unlike with a plain square root, the gradient is a number where all features are 0.

    Args:
        own: a layer's output for some images.
        other: the same layer's output for as many others.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, equation 1, before the weights.
    """
    unit, other_unit = (
        functional.normalize(one, dim=1, eps=SMALLEST_NORM) for one in (own, other)
    )
    return (unit - other_unit).square()


def feature_distance(
    own: Sequence[torch.Tensor], other: Sequence[torch.Tensor]
) -> Float[torch.Tensor, " image"]:
    """Return the distance of images by what a network sees of them.

    Args:
        own: layers' outputs for some images, ``image channel height width`` each.
        other: the same layers' outputs for as many others.

    Returns:
        Squared differences of unit-length features, summed over channels, averaged over
        pixels and added up over layers: at least 0, at most 4 a layer.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, equation 1, with all weights 1.
    """
    layers = [
        squared_differences(*pair).sum(dim=1).mean(dim=(1, 2))
        for pair in zip(own, other, strict=True)
    ]
    return torch.stack(layers).sum(dim=0)
