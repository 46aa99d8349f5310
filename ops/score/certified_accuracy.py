"""What share of the images is certified, at which radius and how surely."""

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer

from ops.certify.clopper_pearson import (
    lower_bound_probability,
    upper_bound_probability,
)


def certified_correct(
    label: Integer[np.ndarray, " image"],
    guessed_class: Integer[np.ndarray, " image"],
    abstained: Bool[np.ndarray, " image"],
) -> Bool[np.ndarray, " image"]:
    """Tell which images got a certificate for the right class.

    Args:
        label: true classes.
        guessed_class: classes the certificates speak of, or -1 for none.
        abstained: whether there is no certificate.

    Returns:
        False for abstentions as for wrong classes.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, section 4.
    """
    return (guessed_class == label) & ~abstained


def num_certified(
    correct: Bool[np.ndarray, " image"],
    radius: Float64[np.ndarray, " image"],
    radii: Float64[np.ndarray, " radius"],
) -> Int64[np.ndarray, " radius"]:
    """Count the images that are certified at each radius.

    Args:
        correct: whether an image has a certificate for its true class.
        radius: certified radii, l2 distances in [0, 1] pixels.
        radii: where to count, at least 0.

    Returns:
        Images with the right class and ``radius >= r``; an image with radius 0 counts
        at ``r = 0``.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, section 4.
    """
    reached = np.sort(radius[correct])
    return len(reached) - np.searchsorted(reached, radii, side="left")


def binomial_interval(
    num_correct: Int64[np.ndarray, " radius"],
    num_images: int,
    *,
    confidence: float = 0.95,
) -> tuple[Float64[np.ndarray, " radius"], Float64[np.ndarray, " radius"]]:
    """Bound the accuracy on all images from that on some, drawn independently.

    Exact two-sided Clopper-Pearson interval. It speaks of the choice of images only,
    not of the chance that a certificate is wrong.

    Args:
        num_correct: images that count, in ``[0, num_images]``.
        num_images: images looked at, at least 1.
        confidence: chance that the interval holds the accuracy, in ``(0, 1)``.

    Returns:
        Lower and upper ends, in percent.

    Raises:
        ValueError: more images count than there are.

    Source:
        Clopper and Pearson 1934, Biometrika 26(4).
    """
    tail = (1 - confidence) / 2
    images = np.full(num_correct.shape, num_images)
    low = lower_bound_probability(num_correct, images, failure_probability=tail)
    high = upper_bound_probability(num_correct, images, failure_probability=tail)
    return 100 * low, 100 * high


def average_certified_radius(
    correct: Bool[np.ndarray, " image"], radius: Float64[np.ndarray, " image"]
) -> float:
    """Return the mean radius over all images, where a wrong class has radius 0.

    Args:
        correct: whether an image has a certificate for its true class.
        radius: certified radii, l2 distances in [0, 1] pixels.

    Returns:
        An l2 distance in [0, 1] pixels; the area under the curve of certified accuracy.

    Source:
        Zhai et al. 2020 (MACER), arXiv:2001.02378, section 5.
    """
    return float(np.mean(radius * correct))


def accuracy(
    label: Integer[np.ndarray, " image"], predicted: Integer[np.ndarray, " image"]
) -> float:
    """Return the share of images whose class is predicted rightly.

    Args:
        label: true classes.
        predicted: predicted classes; -1 for none counts as wrong.

    Returns:
        A fraction in ``[0, 1]``.
    """
    return float(np.mean(label == predicted))


def envelope(
    accuracies: Float64[np.ndarray, "sigma radius"],
) -> Int64[np.ndarray, " radius"]:
    """Find the sigma with the highest certified accuracy at each radius.

    The envelope joins several classifiers, one per sigma; no single one has its curve.

    Args:
        accuracies: certified accuracy of every sigma at every radius.

    Returns:
        Index of the best sigma per radius, the first of them where several tie.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, table 1.
    """
    return accuracies.argmax(axis=0)
