"""What a table of theorems says of one recipe at one sigma."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ops.theory.theorem1 import Theorem1, time_of_share
from ops.theory.theorem2 import always_valid, as_printed
from pipelines.certified_scores import CertifiedScores
from pipelines.recipe import Run
from pipelines.theory_measure import Measured, Network


@dataclass(frozen=True)
class DiffusionRow:
    """Theorems 1 and 2; lengths in [0, 1] pixels where nothing else is said."""

    time: float
    """Of the diffusion (tau)."""

    level: float
    """Std of the noise on the [-1, 1] range (s)."""

    score_bound: float
    """Estimate of C, twice the longest score that was met, on the [-1, 1] range."""

    printed: float
    """Theorem 1 as printed, median over copies."""

    rederived: float
    """Theorem 1 with the drift solved, median over copies."""

    within_printed: float
    """Share of purified copies within their own printed bound."""

    within_rederived: float
    """Share of purified copies within their own re-derived bound."""

    theorem2_printed: float
    """Right side of theorem 2 as printed."""

    theorem2_valid: float
    """Right side of theorem 2 that needs no condition."""

    mean_error: float
    """Mean squared error of the predicted noise, summed over pixels; below 1, theorem 2
    as printed says nothing."""


@dataclass(frozen=True)
class TheoryRow:
    """One recipe at one sigma; lengths in [0, 1] pixels."""

    recipe: str
    purifier: str
    sigma: float
    num_images: int

    num_copies: int
    """Purified copies of each image, all samples counted."""

    num_pixels: int

    noisy_median: float
    """Distance of noisy copies to their images."""

    median: float
    """Distance of purified copies to their images."""

    largest: float
    """The same of the farthest copy."""

    root_mean_square: float
    """The same as a root mean square."""

    diffusion: DiffusionRow | None
    """``None`` where the purifier is no diffusion model."""

    distance_to_data: float | None
    """Squared Frechet distance of purified to clean images, for theorem 3.3."""

    certified: CertifiedScores | None
    """``None`` where there are no certificates."""


def theory_row(
    name: str,
    run: Run,
    measured: Measured,
    *,
    failure_probability: float,
    certified: CertifiedScores | None,
) -> TheoryRow:
    """Return what theorems say of a run, from what was measured.

    Args:
        name: of the recipe.
        run: that was measured.
        measured: lengths on the [-1, 1] range, halved here.
        failure_probability: of theorem 1 (eta), in (0, 1).
        certified: of the same run, if there are certificates.
    """
    return TheoryRow(
        recipe=name,
        purifier=run.purifier.kind,
        sigma=run.sigma,
        num_images=len(measured.noisy),
        num_copies=measured.purified[0].size,
        num_pixels=measured.num_pixels,
        noisy_median=float(np.median(measured.noisy)) / 2,
        median=float(np.median(measured.purified)) / 2,
        largest=float(measured.purified.max()) / 2,
        root_mean_square=math.sqrt(np.square(measured.purified).mean()) / 2,
        diffusion=_diffusion(measured, failure_probability),
        distance_to_data=measured.distance_to_data,
        certified=certified,
    )


def _diffusion(measured: Measured, failure_probability: float) -> DiffusionRow | None:
    network: Network | None = measured.network
    if network is None:
        return None
    theorem = Theorem1(
        time=time_of_share(network.alpha_bar),
        num_pixels=measured.num_pixels,
        failure_probability=failure_probability,
        score_bound=2 * network.largest_score,
    )
    distance = torch.tensor(measured.noisy)  # a copy: what Ray hands over is read-only
    printed = theorem.as_printed(distance).numpy()
    rederived = theorem.rederived(distance).numpy()
    mean_error = float(network.errors.mean())
    return DiffusionRow(
        time=theorem.time,
        level=network.level,
        score_bound=theorem.score_bound,
        printed=float(np.median(printed)) / 2,
        rederived=float(np.median(rederived)) / 2,
        within_printed=float((measured.purified <= printed[..., None]).mean()),
        within_rederived=float((measured.purified <= rederived[..., None]).mean()),
        theorem2_printed=as_printed(network.level, mean_error) / 2,
        theorem2_valid=always_valid(network.level, mean_error) / 2,
        mean_error=mean_error,
    )
