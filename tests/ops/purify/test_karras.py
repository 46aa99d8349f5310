import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_edm_euler import EDMEulerScheduler

from ops.purify.karras import (
    input_scale,
    loss_weight,
    output_scale,
    precondition,
    skip_scale,
    time_of,
)

LEVELS = torch.tensor([0.002, 0.1, 0.5, 1.0, 80.0])
STD = 0.5


def drawn(num: int, std: float, seed: int = 0) -> torch.Tensor:
    values = np.random.default_rng(seed).normal(0.0, std, (num, 1, 8, 8))
    return torch.from_numpy(values).float()


def test_the_output_counts_1_in_the_loss_at_every_level() -> None:
    effective = loss_weight(LEVELS, STD) * output_scale(LEVELS, STD).square()

    torch.testing.assert_close(effective, torch.ones(5))


def test_the_weight_is_that_of_the_paper() -> None:
    expected = (LEVELS.square() + STD**2) / (LEVELS * STD).square()

    torch.testing.assert_close(loss_weight(LEVELS, STD), expected)


@pytest.mark.parametrize("level", [0.1, 1.0, 10.0])
def test_the_network_sees_unit_variance(level: float) -> None:
    seen = []

    def spy(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen.append(scaled)
        return scaled

    noisy = drawn(300, STD) + level * drawn(300, 1.0, seed=1)
    precondition(spy, torch.full((300,), level), STD)(noisy)

    slack = 4 / np.sqrt(2 * noisy.numel())  # four standard errors of a std
    assert abs(seen[0].std().item() - 1.0) < slack


def test_what_the_network_must_find_has_unit_variance_too() -> None:
    num = 20_000
    rng = np.random.default_rng(0)
    level = torch.from_numpy(rng.choice([0.1, 0.5, 2.0], num)).float()
    clean, noise = (torch.from_numpy(rng.normal(size=num)).float() for _ in range(2))
    noisy = STD * clean + level * noise

    wanted = STD * clean - skip_scale(level, STD) * noisy
    target = wanted / output_scale(level, STD)

    assert abs(target.std().item() - 1.0) < 4 / np.sqrt(2 * num)


def test_little_noise_leaves_the_image_and_much_leaves_the_network() -> None:
    noisy, answer = drawn(2, 1.0), drawn(2, 1.0, seed=1)

    def network(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return answer

    quiet, loud = (
        precondition(network, torch.full((2,), level), STD)(noisy)
        for level in (1e-6, 1e6)
    )

    torch.testing.assert_close(quiet, noisy, atol=1e-5, rtol=0)
    torch.testing.assert_close(loud, STD * answer, atol=1e-5, rtol=0)


def test_it_is_what_diffusers_makes_of_a_network() -> None:
    theirs = EDMEulerScheduler(sigma_data=STD)
    noisy, output = drawn(5, 1.0), drawn(5, 1.0, seed=1)
    seen = []

    def network(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        seen.extend([scaled, time])
        return output

    denoised = precondition(network, LEVELS, STD)(noisy)

    level = LEVELS.view(-1, 1, 1, 1)
    torch.testing.assert_close(seen[0], theirs.precondition_inputs(noisy, level))
    torch.testing.assert_close(seen[1], theirs.precondition_noise(LEVELS))
    expected = theirs.precondition_outputs(noisy, output, level)
    torch.testing.assert_close(denoised, expected)


def test_input_scale_falls_from_the_datas_to_the_noises() -> None:
    assert input_scale(torch.tensor([1e-6]), STD).item() == pytest.approx(2.0)
    assert input_scale(torch.tensor([100.0]), STD).item() == pytest.approx(
        0.01, rel=1e-4
    )
    assert time_of(torch.tensor([1.0])).item() == 0.0
