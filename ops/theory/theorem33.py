"""How far purified images are from the data, as Theorem 3.3 asks for.

The theorem says that a purifier serves the better the closer the distribution of what
it returns is to that of the data. Neither distribution is known; how far the first two
moments of their features lie apart stands for it.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32, Float64

from ops.columns import in_batches
from ops.score.frechet import frechet_distance

Embed = Callable[[torch.Tensor], torch.Tensor]
"""Images in [0, 1] -> a row of features for each."""


def distance_to_data(
    embed: Embed,
    clean: Float32[torch.Tensor, "image channel height width"],
    purified: Float32[torch.Tensor, "sample channel height width"],
    batch: int,
) -> float:
    """Return how far purified images are from clean ones, in a network's features.

    It depends on the network and, through its bias, on how many images there are:
    compare only what was measured with the same network, images and copies.

    Args:
        embed: the network up to its features.
        clean: images in [0, 1], 2 or more.
        purified: images made from noisy copies of them, 2 or more.
        batch: images per call of the network.

    Returns:
        A squared Frechet distance, at least 0, in the unit of the features.

    Raises:
        ValueError: there are too few images, or features are not finite.

    Source:
        Theorem 3.3 of Consistency Purification, Li et al. 2024, arXiv:2407.00623; the
        distance: Heusel et al. 2017, arXiv:1706.08500, equation 6.
    """

    def features(images: torch.Tensor) -> Float64[np.ndarray, "image feature"]:
        return in_batches(embed, images, batch).double().cpu().numpy()

    return frechet_distance(features(clean), features(purified))
