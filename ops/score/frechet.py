"""How far apart two sets of images are, by the first two moments of their features."""

import numpy as np
from jaxtyping import Float64


def frechet_distance(
    first: Float64[np.ndarray, "image feature"],
    second: Float64[np.ndarray, "other_image other_feature"],
) -> float:
    """Return the Frechet distance of the Gaussians that fit two sets of features.

    It depends on the network that made the features and, through its bias, on how many
    images there are: compare only numbers of the same network and the same count.

    Args:
        first: features of at least 2 images, in any unit.
        second: those of other images, as many features each.

    Returns:
        A squared distance in that unit, at least 0 (FID, where the features are those
        of Inception).

    Raises:
        ValueError: a set has fewer than 2 images or numbers that are not finite, or the
            features are not as many.

    Source:
        Heusel et al. 2017, arXiv:1706.08500, equation 6; covariances over n - 1.
    """
    for name, features in (("first", first), ("second", second)):
        _require_spread(name, features)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"frechet_distance needs as many features in both sets; first has "
            f"{first.shape[1]} and second {second.shape[1]}. Take both from the same "
            f"layer of the same network."
        )
    return frechet_of_moments(
        first.mean(axis=0), _covariance(first), second.mean(axis=0), _covariance(second)
    )


def frechet_of_moments(
    first_mean: Float64[np.ndarray, " feature"],
    first_covariance: Float64[np.ndarray, "feature feature"],
    second_mean: Float64[np.ndarray, " feature"],
    second_covariance: Float64[np.ndarray, "feature feature"],
) -> float:
    """Return the Frechet distance of two Gaussians.

    The trace of ``(C1 C2)^(1/2)`` is that of ``(C1^(1/2) C2 C1^(1/2))^(1/2)``, so it is
    the sum of the singular values of ``C1^(1/2) C2^(1/2)``: all roots are of symmetric
    matrices, and covariances of fewer images than features do no harm.

    Args:
        first_mean: of the first Gaussian.
        first_covariance: symmetric, no eigenvalue below 0 but for rounding.
        second_mean: of the second Gaussian.
        second_covariance: as the first.

    Returns:
        A squared distance, at least 0.

    Source:
        Heusel et al. 2017, arXiv:1706.08500, equation 6; Dowson and Landau 1982.
    """
    apart = np.square(first_mean - second_mean).sum()
    spread = np.trace(first_covariance) + np.trace(second_covariance)
    roots = _root(first_covariance) @ _root(second_covariance)
    shared = np.linalg.svd(roots, compute_uv=False).sum()
    return max(0.0, float(apart + spread - 2 * shared))


def _root(
    covariance: Float64[np.ndarray, "feature feature"],
) -> Float64[np.ndarray, "feature feature"]:
    """Return the symmetric root of a symmetric matrix, eigenvalues below 0 cut."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def _covariance(
    features: Float64[np.ndarray, "image feature"],
) -> Float64[np.ndarray, "feature feature"]:
    centred = features - features.mean(axis=0)
    return centred.T @ centred / (len(features) - 1)


def _require_spread(name: str, features: Float64[np.ndarray, "image feature"]) -> None:
    if len(features) < 2:
        raise ValueError(
            f"frechet_distance needs at least 2 images in each set; {name} has "
            f"{len(features)}. Give it more images, thousands for a number to publish."
        )
    broken = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(broken) > 0:
        raise ValueError(
            f"frechet_distance needs finite features; {name} has others in row "
            f"{broken[0]}. Look at what the network makes of that image."
        )
