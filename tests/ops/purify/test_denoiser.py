"""One adapter for every kind of network: the same function as the network's own."""

import math
from typing import Any

import pytest
import torch
from gaussian_here import MEAN, STD, WORKER, gaussian_denoiser, noisy_copies
from tiny_unet_here import TINY, UNTRAINED

from ops.initialise import initialise
from ops.purify.denoiser import epsilon_of, vp_denoiser
from ops.purify.edm import Edm
from ops.purify.one_shot import Prediction
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.scheduler_settings import ddpm_scheduler, edm_scheduler
from ops.purify.unet import build_unet
from ops.schedules import Schedule, sigma_signed_of

SCHEDULE = Schedule(kind="cosine", num_timesteps=200)
LEVELS = sigma_signed_of(SCHEDULE.alpha_bar())
PREDICTIONS: list[Prediction] = ["epsilon", "v", "x0"]
Images = torch.Tensor


class Told:
    """A network that keeps what it is given and returns it with further channels."""

    def __init__(self, further: int = 0) -> None:
        self.further = further

    def __call__(self, scaled: Images, time: torch.Tensor) -> Images:
        self.scaled, self.time = scaled, time
        return torch.cat([scaled, *[scaled + 1.0] * self.further], dim=1)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("timestep", [1, 60, 150])
@torch.no_grad()
def test_a_ddpm_network_denoises_as_one_shot_does_at_its_timesteps(
    prediction: Prediction, timestep: int
) -> None:
    noisy, sigma = noisy_copies(), LEVELS[timestep] / 2
    scheduler = ddpm_scheduler(SCHEDULE, prediction)
    shared = {"weights": UNTRAINED, "unet": TINY, "clip": False}

    ours = Edm(**shared, scheduler=scheduler).open(WORKER, sigma)(noisy)
    theirs = OneShotDdpm(
        **shared, schedule=SCHEDULE, prediction=prediction, timestep_rule="nearest"
    ).open(WORKER, sigma)(noisy)

    assert theirs.std() > 0.05
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_edm_network_denoises_as_its_paper_writes_it() -> None:
    noisy, level = noisy_copies(), 0.7
    edm = Edm(
        weights=UNTRAINED, unet=TINY, scheduler=edm_scheduler(0.6), clip=False
    ).open(WORKER, level / 2)

    network: Any = initialise(build_unet(TINY), 3).eval()
    signed, both = 2 * noisy - 1, level**2 + 0.36
    output = network(signed / math.sqrt(both), torch.tensor(math.log(level) / 4)).sample
    clean = 0.36 / both * signed + level * 0.6 / math.sqrt(both) * output
    torch.testing.assert_close(edm(noisy), (clean + 1) / 2, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("rescale", "step"), [(False, 1.0), (True, 5.0)])
def test_a_network_is_told_the_time_of_any_level(rescale: bool, step: float) -> None:
    network = Told()
    denoiser = vp_denoiser(
        network, schedule=SCHEDULE, prediction="x0", rescale=rescale, source="a test"
    )
    between = math.sqrt(LEVELS[20] * LEVELS[21])
    levels = torch.tensor([LEVELS[0], LEVELS[20], between, LEVELS[21], LEVELS[198]])
    denoiser(noisy_copies(5), levels.float())

    told = step * torch.tensor([0, 20, 20.5, 21, 198])
    torch.testing.assert_close(network.time, told, atol=1e-3 * step, rtol=0)


def test_noise_below_the_first_timestep_is_told_as_that() -> None:
    network = Told()
    denoiser = vp_denoiser(
        network, schedule=SCHEDULE, prediction="x0", rescale=False, source="a test"
    )
    denoiser(noisy_copies(), float(LEVELS[0] / 10))

    assert (network.time == 0).all()


@pytest.mark.parametrize("level", [0.1, 0.83, 3.0])
def test_a_network_is_given_unit_variance_of_image_and_noise(level: float) -> None:
    network, noisy = Told(), noisy_copies()
    denoiser = vp_denoiser(
        network, schedule=SCHEDULE, prediction="x0", rescale=False, source="a test"
    )
    denoiser(noisy, level)

    expected = noisy / math.sqrt(1 + level**2)
    torch.testing.assert_close(network.scaled, expected, atol=1e-6, rtol=1e-6)


def test_images_of_unlike_noise_are_denoised_as_each_alone() -> None:
    noisy, levels = noisy_copies(3), torch.tensor([0.1, 0.5, 2.0])
    denoiser = vp_denoiser(
        Told(), schedule=SCHEDULE, prediction="epsilon", rescale=False, source="a test"
    )
    alone = [denoiser(noisy[i : i + 1], levels[i].item()) for i in range(3)]

    torch.testing.assert_close(denoiser(noisy, levels), torch.cat(alone))


def test_further_channels_are_the_variance_and_no_image() -> None:
    noisy = noisy_copies()

    def denoised(further: int) -> tuple[Images, Images | None]:
        return vp_denoiser(
            Told(further),
            schedule=SCHEDULE,
            prediction="v",
            rescale=False,
            source="a test",
        ).with_variance(noisy, 0.5)

    clean, variance = denoised(1)
    alone, nothing = denoised(0)
    assert nothing is None
    assert variance is not None
    torch.testing.assert_close(variance, noisy / math.sqrt(1.25) + 1)
    assert torch.equal(clean, alone)


@pytest.mark.parametrize("alpha_bar", [0.999, 0.5, 0.02])
def test_the_noise_of_normal_data_is_its_posterior_mean(alpha_bar: float) -> None:
    scaled = noisy_copies()

    noise, variance = epsilon_of(gaussian_denoiser(), scaled, alpha_bar)

    beside = scaled - math.sqrt(alpha_bar) * MEAN
    spread = alpha_bar * STD**2 + 1 - alpha_bar
    expected = math.sqrt(1 - alpha_bar) * beside / spread
    torch.testing.assert_close(noise, expected, atol=1e-5, rtol=1e-4)
    assert variance is None


@pytest.mark.parametrize("timestep", [1, 60, 150])
def test_the_noise_of_a_network_of_noise_is_what_it_returns(timestep: int) -> None:
    scaled, network = noisy_copies(), Told(further=1)
    denoiser = vp_denoiser(
        network, schedule=SCHEDULE, prediction="epsilon", rescale=False, source="a test"
    )

    noise, variance = epsilon_of(
        denoiser, scaled, float(SCHEDULE.alpha_bar()[timestep])
    )

    torch.testing.assert_close(network.scaled, scaled, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(noise, scaled, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(variance, scaled + 1, atol=1e-5, rtol=1e-5)


def test_levels_outside_of_the_training_are_refused_by_sigma() -> None:
    denoiser = gaussian_denoiser(highest=2.0)

    denoiser.require(2.0)
    with pytest.raises(ValueError, match=r"up to 1 with normal data; sigma is 1\.05"):
        denoiser.require(2.1)
    with pytest.raises(ValueError, match=r"sigma above 0 .*; sigma is 0\."):
        denoiser.require(0.0)


def edm_with(**settings: Any) -> Edm:
    scheduler = {**edm_scheduler(0.5), **settings}
    return Edm(weights=UNTRAINED, unet=TINY, scheduler=scheduler)


@pytest.mark.parametrize("name", ["sigma_data", "sigma_max"])
@pytest.mark.parametrize("value", ["a", 0.0, -1.0, math.nan, [1.0]])
def test_a_level_that_is_none_is_refused_where_the_network_opens(
    name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=rf"has for {name} .*Correct it") as said:
        edm_with(**{name: value}).open(WORKER, 0.5)
    assert "pydantic" not in str(said.value)


@pytest.mark.parametrize("end", [None, math.inf])
def test_levels_without_an_end_go_as_far_as_is_usual(end: float | None) -> None:
    edm_with(sigma_max=end).open(WORKER, 40.0)
    with pytest.raises(ValueError, match="up to 40 with"):
        edm_with(sigma_max=end).open(WORKER, 40.1)
