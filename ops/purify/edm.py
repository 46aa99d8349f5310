"""One-shot purification by a denoiser that knows every level of noise."""

from collections.abc import Callable
from typing import Literal

from ops.columns import Worker
from ops.purify.open_denoiser import DenoisingNetwork
from ops.purify.purifying import Images, Purifying


class Edm(DenoisingNetwork, Purifying, frozen=True, extra="forbid"):
    """Denoise a copy with one call at exactly its level of noise, twice sigma.

    Source:
        Karras et al. 2022, arXiv:2206.00364, equation 7; as a purifier: the baseline
        "onestep-EDM" of Consistency Purification, Li et al. 2024, arXiv:2407.00623.
    """

    kind: Literal["edm"] = "edm"

    clip: bool = True
    """Whether purified copies are cut to the range of pixels."""

    def open(self, worker: Worker, sigma: float) -> Callable[[Images], Images]:
        """Load the network and return the purifying function.

        Args:
            worker: where to compute, and what reads the weights.
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Returns:
            A function from noisy copies to purified ones, float32, of the [0, 1] range.

        Raises:
            ValueError: weights do not fit, or the network does not know this noise.
        """
        denoiser = self.open_denoiser(worker)
        denoiser.require(2.0 * sigma)
        return lambda noisy: denoiser.of_pixels(noisy, 2.0 * sigma, clip=self.clip)
