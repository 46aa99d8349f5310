"""A network as what removes noise of any level, whatever it was trained to return."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64

from ops.pixels import to_signed, to_unit
from ops.purify.karras import precondition
from ops.purify.one_shot import Prediction, clean_of_shares
from ops.schedules import Schedule, embedded_timestep, sigma_signed_of

Images = Float32[torch.Tensor, "copy channel height width"]
Noise = Float32[torch.Tensor, " copy"]
Network = Callable[[Images, Float32[torch.Tensor, " copy"]], torch.Tensor]
"""Scaled images, and what the network is told of the noise of each -> its output."""


@dataclass(frozen=True)
class Denoiser:
    """What a network makes of noisy images: the clean ones, and how sure it is.

    Levels are stds of noise beside an unscaled image in [-1, 1], twice a sigma.
    """

    call: Callable[[Images, Noise], tuple[Images, Images | None]]
    """Unscaled noisy images of [-1, 1], their levels -> clean images, not clipped, and
    what further channels say of a reverse step's variance."""

    highest: float
    """Level above which the network knows nothing."""

    source: str
    """What to call the weights in an error."""

    def __call__(self, noisy: Images, level: Noise | float) -> Images:
        """Return the clean images behind noisy ones.

        Args:
            noisy: images of the [-1, 1] range plus noise, not scaled.
            level: std of the noise, for each image or for all.

        Returns:
            Images of the [-1, 1] range, not clipped.
        """
        return self.call(noisy, _each(level, noisy))[0]

    def with_variance(
        self, noisy: Images, level: Noise | float
    ) -> tuple[Images, Images | None]:
        """Return clean images, and a learned variance's share if there is one.

        Args:
            noisy: images of the [-1, 1] range plus noise, not scaled.
            level: std of the noise, for each image or for all.

        Returns:
            Images as above, and numbers about [-1, 1] between the least and the most
            variance, on a logarithmic scale; ``None`` where no variance was learned.
        """
        return self.call(noisy, _each(level, noisy))

    def require(self, level: float) -> None:
        """Refuse a level that the network was not trained on.

        Args:
            level: std of the noise on the [-1, 1] range.

        Raises:
            ValueError: it is above the highest.
        """
        if not 0.0 < level <= self.highest:
            raise ValueError(
                f"A purifier needs a sigma above 0 and up to {self.highest / 2:.4g} "
                f"with {self.source}; sigma is {level / 2:.4g}. Take another sigma or "
                f"other weights."
            )

    def of_pixels(self, noisy: Images, level: float, *, clip: bool) -> Images:
        """Return clean images of [0, 1] behind noisy ones of [0, 1].

        Args:
            noisy: images in [0, 1] plus noise.
            level: std of the noise on the [-1, 1] range, twice that on [0, 1].
            clip: whether to cut the result to the range of pixels.
        """
        clean = self(to_signed(noisy), level)
        return to_unit(clean.clamp(-1.0, 1.0) if clip else clean)


def _each(level: Noise | float, images: Images) -> Noise:
    if isinstance(level, torch.Tensor):
        return level
    return torch.full((len(images),), level, device=images.device)


def karras_denoiser(
    network: Network, *, sigma_data: float, highest: float, source: str
) -> Denoiser:
    """Return the denoiser that a preconditioned network is.

    Args:
        network: maps scaled images and quarter logarithms of levels to its output.
        sigma_data: std of clean images' pixels on the [-1, 1] range, above 0.
        highest: level up to which it was trained.
        source: what to call the weights in an error.

    Source:
        Karras et al. 2022, arXiv:2206.00364, equation 7.
    """

    def call(noisy: Images, level: Noise) -> tuple[Images, None]:
        return precondition(network, level, sigma_data)(noisy), None

    return Denoiser(call, highest, source)


def vp_denoiser(
    network: Network,
    *,
    schedule: Schedule,
    prediction: Prediction,
    rescale: bool,
    source: str,
) -> Denoiser:
    """Return the denoiser that a network of a DDPM schedule is.

    An image with noise of level s is what such a network knows, times
    ``1 / sqrt(1 + s^2)``; between two timesteps it is told the time between them.

    Args:
        network: maps scaled images and timesteps to its output, in whose further
            channels a learned variance may stand.
        schedule: the schedule it was trained with.
        prediction: what it returns.
        rescale: whether its time runs to 1000 whatever the number of timesteps.
        source: what to call the weights in an error.

    Source:
        Karras et al. 2022, arXiv:2206.00364, appendix C (VP as a denoiser).
    """
    levels = torch.from_numpy(sigma_signed_of(schedule.alpha_bar()))
    step = embedded_timestep(1, schedule.num_timesteps, rescale=rescale)

    def call(noisy: Images, level: Noise) -> tuple[Images, Images | None]:
        channels = noisy.shape[1]
        signal = (1.0 + level.double().square()).rsqrt()
        noise = (signal * level).float().view(-1, 1, 1, 1)
        signal = signal.float().view(-1, 1, 1, 1)
        time = (step * _time_of(level, levels.to(level.device))).float()
        output = network(signal * noisy, time)
        clean = clean_of_shares(
            signal * noisy, output[:, :channels], signal, noise, prediction
        )
        variance = output[:, channels:]
        return clean, variance if variance.shape[1] else None

    return Denoiser(call, float(levels[-1]), source)


def _time_of(
    level: Noise, levels: Float64[torch.Tensor, " timestep"]
) -> Float64[torch.Tensor, " copy"]:
    """Return the times of levels, linear in the logarithm between two timesteps."""
    log_level, log_levels = level.double().log(), levels.log()
    after = torch.searchsorted(log_levels, log_level).clamp(1, len(levels) - 1)
    low, high = log_levels[after - 1], log_levels[after]
    share = ((log_level - low) / (high - low)).clamp(0.0, 1.0)
    return after - 1 + share


def epsilon_of(
    denoiser: Denoiser, scaled: Images, alpha_bar: float
) -> tuple[Images, Images | None]:
    """Return the noise that a denoiser sees in an image of a DDPM schedule.

    This is how a network of any kind stands for one that predicts noise.

    Args:
        denoiser: any.
        scaled: images of the schedule, ``sqrt(alpha_bar)`` clean plus noise.
        alpha_bar: share of the image's variance, in (0, 1).

    Returns:
        The noise, mean 0 and std 1, and a learned variance's share if there is one.

    Source:
        Ho et al. 2020, arXiv:2006.11239, equation 4, solved for epsilon.
    """
    signal, noise = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    clean, variance = denoiser.with_variance(scaled / signal, noise / signal)
    return (scaled - signal * clean) / noise, variance
