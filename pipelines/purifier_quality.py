"""How good a purifier is at one sigma, in a line of numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # for their types alone; a table needs no network
    from pipelines.purifier_look import Looked
    from pipelines.recipe import Run


@dataclass(frozen=True)
class Quality:
    """What one method does to one noisy copy of each image, at one sigma."""

    method: str
    """Name of its recipe."""

    sigma: float
    num_images: int
    noisy_psnr: float
    """Mean peak signal-to-noise ratio of the noisy copies, cut to [0, 1], in dB."""

    purified_psnr: float
    """The same of the purified copies, not cut."""

    noisy_distance: float
    """Mean distance of the noisy copies, cut to [0, 1], from the images."""

    purified_distance: float
    """The same of the purified copies, cut too."""

    distance: str
    """What measured these distances."""

    same_class: float
    """Share of purified copies that are of the class of the image as it is."""

    right_class: float
    """Share of purified copies that are of the true class."""

    right_clean: float
    """Share of images that are of the true class as they are."""

    noise_left: float
    """Std of what purified copies differ by, over all pixels, in [0, 1] pixels."""

    calls_per_copy: int
    """Of the purifier's network."""

    samples_per_copy: int
    """Purified copies of each noisy one, whose majority is its class."""

    seconds_per_copy: float
    """Of the purifier alone, in full calls."""

    device: str
    """What the seconds were measured on."""

    def metrics(self) -> dict[str, float]:
        """Return all that is a number of this method and sigma, by name."""
        return {
            name: float(value)
            for name, value in vars(self).items()
            if not isinstance(value, str) and name != "sigma"
        }


def quality(
    method: str, run: "Run", looked: "Looked", labels: Sequence[int], *, distance: str
) -> Quality:
    """Return the line of a method at one sigma.

    Args:
        method: name of its recipe.
        run: of the recipe, at the sigma.
        looked: at least one image, what the run made of it.
        labels: true classes, in the same order.
        distance: what measured the distances.

    Returns:
        Means that do not depend on the order of the images, to the last bit.
    """
    clean, purified = looked.clean_class, looked.purified_class
    return Quality(
        method=method,
        sigma=run.sigma,
        num_images=len(labels),
        noisy_psnr=_mean(looked.noisy_psnr),
        purified_psnr=_mean(looked.purified_psnr),
        noisy_distance=_mean(looked.noisy_distance),
        purified_distance=_mean(looked.purified_distance),
        distance=distance,
        same_class=_mean((purified == clean) & (clean >= 0)),
        right_class=_mean(purified == np.array(labels)),
        right_clean=_mean(clean == np.array(labels)),
        noise_left=_std(looked),
        calls_per_copy=run.purifier.calls_at(run.sigma),
        samples_per_copy=run.purifier.samples_per_copy,
        seconds_per_copy=looked.seconds_per_copy,
        device=looked.device,
    )


def _mean(values: np.ndarray) -> float:
    """Return a mean from an exact sum, which no order changes."""
    return math.fsum(values.tolist()) / len(values)


def _std(looked: "Looked") -> float:
    variance = _mean(looked.square_left) - _mean(looked.mean_left) ** 2
    return math.sqrt(max(0.0, variance))
