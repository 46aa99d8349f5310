"""How far a purified copy may lie from the clean image: DiffSmooth's Theorem 1.

Lengths are l2 norms of images on the [-1, 1] range, on which noise of std sigma has std
twice sigma; halve them for [0, 1] pixels. The bound is loose by construction, because
it allows noise of the input's own std on every pixel once more: it is a diagnostic of a
purifier, never a certificate.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64

Images = Float32[torch.Tensor, "copy channel height width"]


def time_of_share(alpha_bar: float) -> float:
    """Return the time at which a diffusion has left a share of an image's variance.

    Args:
        alpha_bar: the share, in (0, 1).

    Returns:
        Half the integral of the noise's rate (tau), positive.

    Source:
        DiffSmooth: Zhang et al. 2023, arXiv:2308.14333, Theorem 1, with
        ``alpha_bar = exp(-2 tau)``.
    """
    return -math.log(alpha_bar) / 2.0


def level_at(time: float) -> float:
    """Return the std of the noise beside an unscaled image at a time.

    Args:
        time: as ``time_of_share`` returns it.

    Returns:
        ``sqrt(exp(2 tau) - 1)``, which is ``sqrt((1 - alpha_bar) / alpha_bar)``.
    """
    return math.sqrt(math.expm1(2.0 * time))


def noise_norm(num_pixels: int, failure_probability: float) -> float:
    """Return a length that standard normal noise exceeds as rarely as is asked.

    Args:
        num_pixels: channels x height x width (d), at least 1.
        failure_probability: chance at most that the noise is longer (eta), in (0, 1).

    Returns:
        The square root of ``d + 2 sqrt(d ln(1/eta)) + 2 ln(1/eta)``.

    Source:
        Laurent and Massart 2000, Annals of Statistics 28(5), lemma 1; C_eta of
        DiffSmooth, arXiv:2308.14333, Theorem 1.
    """
    tail = -math.log(failure_probability)
    return math.sqrt(num_pixels + 2.0 * math.sqrt(num_pixels * tail) + 2.0 * tail)


def score_norm(
    noisy: Images,
    clean: Images,
    level: Float32[torch.Tensor, " copy"] | float,
) -> Float64[torch.Tensor, " copy"]:
    """Return how long a denoiser says the gradient of the log density is.

    Args:
        noisy: unscaled images of the [-1, 1] range plus noise.
        clean: what the denoiser returns for them.
        level: std of the noise, for each image or for all, above 0.

    Returns:
        ``|| predicted noise || / sqrt(1 - alpha_bar)`` at the scaled images, at least
        0. The theorem's C is twice the largest of all; the largest of those that were
        visited is an estimate from below.

    Source:
        Song et al. 2021, arXiv:2011.13456: the score is the predicted noise times
        ``-1 / sqrt(1 - alpha_bar)``, where ``alpha_bar = 1 / (1 + level^2)``.
    """
    apart = (noisy.double() - clean.double()).flatten(1).norm(dim=1)
    levels = torch.as_tensor(level, dtype=torch.float64, device=apart.device)
    return apart * (1.0 + levels.square()).sqrt() / levels.square()


@dataclass(frozen=True)
class Theorem1:
    """All that stands in the bound but the copy's own distance."""

    time: float
    """Time of the diffusion at which copies are purified (tau), above 0."""

    num_pixels: int
    """Channels x height x width (d)."""

    failure_probability: float
    """Chance that the reverse process adds longer noise than is allowed (eta)."""

    score_bound: float
    """Twice the largest norm of a score (C); in practice twice the largest visited, an
    estimate that may be too small."""

    def as_printed(
        self, distance: Float64[torch.Tensor, "*copies"]
    ) -> Float64[torch.Tensor, "*copies"]:
        """Return the bound as the paper prints it.

        Args:
            distance: of noisy copies to their clean images.

        Returns:
            ``distance + s C_eta + tau C``.

        Source:
            DiffSmooth: Zhang et al. 2023, arXiv:2308.14333, Theorem 1.
        """
        return distance + self.noise_term + self.time * self.score_bound

    def rederived(
        self, distance: Float64[torch.Tensor, "*copies"]
    ) -> Float64[torch.Tensor, "*copies"]:
        """Return the bound that follows from solving the reverse process.

        The process ends at ``x + N(0, s^2)`` plus the integral of ``2 exp(u)`` times
        the score over ``u`` from 0 to tau, and a score is no longer than ``C / 2``. One
        call of a denoiser moves a copy by ``sinh(tau) C`` at most and adds no noise, so
        it never breaks this bound.

        Args:
            distance: of noisy copies to their clean images.

        Returns:
            ``distance + s C_eta + C (exp(tau) - 1)``, at least the printed bound.
        """
        drift = math.expm1(self.time) * self.score_bound
        return distance + self.noise_term + drift

    @property
    def noise_term(self) -> float:
        """What the noise of the reverse process may add: ``s C_eta``."""
        longest = noise_norm(self.num_pixels, self.failure_probability)
        return level_at(self.time) * longest
