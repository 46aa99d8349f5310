"""How far two images are apart: the closed union of metrics.

Each is a frozen description whose ``open(worker)`` returns a function of two batches of
images in [-1, 1], a number for each pair: at least 0, and 0 for equal images. Gradients
flow into both batches and nowhere else.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Float32
from pydantic import BaseModel, Field, PositiveFloat

from ops.classify.ensemble import Member
from ops.classify.features import open_features
from ops.columns import Worker
from ops.losses.feature_distance import feature_distance
from ops.losses.lpips_vgg import LpipsVgg
from ops.pixels import to_unit

Images = Float32[torch.Tensor, "image channel height width"]
Distances = Float[torch.Tensor, " image"]
Distance = Callable[[Images, Images], Distances]

HUBER = 0.00054
"""Of the constant of ``huber``, per square root of the number of pixels."""


class SquaredL2(BaseModel, frozen=True, extra="forbid"):
    """Mean over pixels of squared differences.

    Source:
        Song et al. 2023, arXiv:2303.01469, section 3. Differs: a mean, not a sum.
    """

    kind: Literal["l2"] = "l2"

    def open(self, worker: Worker) -> Distance:
        """Return the metric; there is nothing to load."""
        return lambda first, second: (first - second).square().flatten(1).mean(dim=1)


class MeanL1(BaseModel, frozen=True, extra="forbid"):
    """Mean over pixels of absolute differences.

    Source:
        Song et al. 2023, arXiv:2303.01469, section 3. Differs: a mean, not a sum.
    """

    kind: Literal["l1"] = "l1"

    def open(self, worker: Worker) -> Distance:
        """Return the metric; there is nothing to load."""
        return lambda first, second: (first - second).abs().flatten(1).mean(dim=1)


class PseudoHuber(BaseModel, frozen=True, extra="forbid"):
    """Near images by their squared distance, far ones by their distance.

    Source:
        Song and Dhariwal 2023, arXiv:2310.14189, section 3.3.
    """

    kind: Literal["huber"] = "huber"

    c: PositiveFloat | None = None
    """Distance at which the one turns into the other; ``None``: 0.00054 times the root
    of the number of pixels of all channels."""

    def open(self, worker: Worker) -> Distance:
        """Return the metric; there is nothing to load."""

        def distance(first: Images, second: Images) -> Distances:
            difference = (first - second).flatten(1)
            c = self.c or HUBER * difference.shape[1] ** 0.5
            return (difference.square().sum(dim=1) + c**2).sqrt() - c

        return distance


class Features(BaseModel, frozen=True, extra="forbid"):
    """Squared differences of what a classifier's convolutions return.

    A perceptual metric where no weights of LPIPS are at hand, or images are too small.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, equation 1. Differs: a classifier of ours,
        all of its convolutions, and all weights 1.
    """

    kind: Literal["features"] = "features"

    classifier: Annotated[Member, Field(discriminator="kind")]
    """One network with convolutions, trained on such images."""

    def open(self, worker: Worker) -> Distance:
        """Load the classifier and return the metric.

        Args:
            worker: where to compute, and what reads the weights.

        Raises:
            ValueError: the weights do not fit, or there is no convolution.
        """
        features = open_features(self.classifier, worker)
        return lambda first, second: feature_distance(
            features(to_unit(first)), features(to_unit(second))
        )


Metric = Annotated[
    SquaredL2 | MeanL1 | PseudoHuber | LpipsVgg | Features,
    Field(discriminator="kind"),
]
"""Distance of two images; chosen by ``kind``."""
