"""The consistency function against closed forms of Gaussian data."""

import math

import pytest
import torch

from ops.purify.consistency_scalings import (
    ConsistencySettings,
    consistency_function,
    output_scale,
    skip_scale,
    time_of,
)

SETTINGS = ConsistencySettings()
LOWEST = SETTINGS.lowest
LEVELS = torch.tensor([0.002, 0.1, 0.5, 1.0, 2.0, 80.0])
MEAN, STD = 0.3, 0.4


def noisy(num: int = len(LEVELS)) -> torch.Tensor:
    torch_random = torch.Generator().manual_seed(0)
    return 3.0 * torch.randn(num, 2, 3, 3, generator=torch_random)


def along_the_flow(image: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Return where the flow of N(MEAN, STD^2) takes images at the lowest level."""
    level = level.double().view(-1, 1, 1, 1)
    ratio = ((STD**2 + LOWEST**2) / (STD**2 + level**2)).sqrt()
    return MEAN + (image.double() - MEAN) * ratio


def exact_network(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Return the output by which the formula of the paper is the flow's end."""
    level = (4.0 * time.double() / SETTINGS.time_factor).exp()
    spread = (level**2 + 0.25).sqrt().view(-1, 1, 1, 1)
    image = scaled.double() * spread
    away = level.view(-1, 1, 1, 1) - LOWEST
    skip = 0.25 / (away**2 + 0.25)
    output = (along_the_flow(image, level) - skip * image) * spread / (0.5 * away)
    return output.nan_to_num().float()


def test_at_the_lowest_level_the_image_comes_back_bit_for_bit() -> None:
    level = torch.full((6,), LOWEST)
    clean = consistency_function(lambda scaled, time: scaled.exp(), level, SETTINGS)
    assert torch.equal(clean(noisy()), noisy())
    assert skip_scale(level, SETTINGS).unique().tolist() == [1.0]
    assert output_scale(level, SETTINGS).unique().tolist() == [0.0]


def test_function_of_gaussian_data_is_the_end_of_their_flow() -> None:
    clean = consistency_function(exact_network, LEVELS, SETTINGS)(noisy())
    expected = along_the_flow(noisy(), LEVELS).float()
    torch.testing.assert_close(clean, expected, rtol=1e-4, atol=2e-4)


def test_flow_keeps_the_variance_that_the_posterior_mean_loses() -> None:
    level = torch.full((4000,), 1.0)
    data = MEAN + STD * noisy(4000) / 3.0
    mixed = data + noisy(4000).flip(0) / 3.0
    spread = consistency_function(exact_network, level, SETTINGS)(mixed).std().item()
    assert spread == pytest.approx(STD, rel=0.02)
    assert spread > 2 * STD**2 / math.sqrt(STD**2 + 1.0)


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_network_meets_scaled_images_and_quarter_logarithms(factor: float) -> None:
    met = []

    def network(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        met.append((scaled, time))
        return scaled

    settings = ConsistencySettings(time_factor=factor)
    consistency_function(network, LEVELS, settings)(noisy())
    ((scaled, time),) = met
    torch.testing.assert_close(time, factor * 0.25 * LEVELS.log())
    assert torch.equal(time, time_of(LEVELS, settings))
    spread = (LEVELS.square() + 0.25).sqrt().view(-1, 1, 1, 1)
    torch.testing.assert_close(scaled, noisy() / spread)


def test_images_of_unlike_levels_are_what_each_is_alone() -> None:
    together = consistency_function(exact_network, LEVELS, SETTINGS)(noisy())
    for row in range(len(LEVELS)):
        one = slice(row, row + 1)
        alone = consistency_function(exact_network, LEVELS[one], SETTINGS)
        torch.testing.assert_close(alone(noisy()[one]), together[one])


def test_gradients_reach_images_and_weights_in_the_formulas_measure() -> None:
    weight = torch.tensor(0.7, requires_grad=True)
    level, image = torch.tensor([1.0]), noisy(1).requires_grad_()
    function = consistency_function(lambda scaled, _: weight * scaled, level, SETTINGS)
    function(image).sum().backward()
    skip, out = skip_scale(level, SETTINGS), output_scale(level, SETTINGS)
    scale = 1.0 / math.sqrt(1.25)
    assert weight.grad is not None
    assert image.grad is not None
    expected = (out * scale * image.detach().sum()).squeeze()
    torch.testing.assert_close(weight.grad, expected)
    slope = (skip + out * 0.7 * scale).item()
    torch.testing.assert_close(image.grad, torch.full_like(image, slope))


def test_levels_are_those_of_the_paper() -> None:
    values = SETTINGS.levels().values()
    assert len(values) == 18
    assert (values[0], values[-1]) == (0.002, 80.0)
    assert values[6] == pytest.approx(0.58535, abs=1e-5)
    assert values[7] == pytest.approx(1.08817, abs=1e-5)


@pytest.mark.parametrize("wrong", [{"num_levels": 1}, {"lowest": 90.0}])
def test_settings_without_a_grid_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"equal to 2|lowest < highest"):
        ConsistencySettings.model_validate(wrong)
