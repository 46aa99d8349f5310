"""A step keeps what the forward process promises of every kept timestep."""

import itertools
import math

import numpy as np
import pytest
import torch
from gaussian_here import draw_for, noisy_copies

from ops.purify.reverse_steps import Variance, kept_timesteps, reverse_steps, walk
from ops.schedules import Schedule

COSINE = Schedule(kind="cosine", num_timesteps=1000).alpha_bar()
LINEAR = Schedule(
    kind="linear", num_timesteps=1000, beta_start=1e-4, beta_end=0.02
).alpha_bar()


def test_kept_timesteps_are_those_of_the_published_rule() -> None:
    assert kept_timesteps(258, 2) == [258, 129, 0]
    assert kept_timesteps(10, 4) == [10, 8, 5, 2, 0]
    assert kept_timesteps(3, 3) == [3, 2, 1, 0]
    assert kept_timesteps(3, "all") == [3, 2, 1, 0]
    assert kept_timesteps(0, "all") == [0]
    assert kept_timesteps(258, 1) == [258]


def test_kept_timesteps_fall_to_zero_and_are_one_more_than_steps() -> None:
    for timestep in range(2, 60):
        for steps in range(2, timestep + 1):
            kept = kept_timesteps(timestep, steps)
            assert (len(kept), kept[0], kept[-1]) == (steps + 1, timestep, 0)
            assert all(a > b for a, b in itertools.pairwise(kept))


def test_more_steps_than_timesteps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"steps is 6, .* timestep 5\. Take fewer"):
        kept_timesteps(5, 6)


@pytest.mark.parametrize("alpha_bar", [COSINE, LINEAR])
@pytest.mark.parametrize("kept", [[700, 699, 3, 0], [400], list(range(500, -1, -1))])
def test_a_step_from_the_forward_process_ends_in_the_forward_process(
    alpha_bar: np.ndarray, kept: list[int]
) -> None:
    """Of known clean images: mean ``sqrt(alpha_bar)`` of it, variance the rest."""
    steps = reverse_steps(alpha_bar, kept)
    after = [*alpha_bar[kept[1:]], 1.0]

    assert [step.alpha_bar for step in steps] == alpha_bar[kept].tolist()
    for step, share in zip(steps, after, strict=True):
        mean = step.clean + step.scaled * math.sqrt(step.alpha_bar)
        variance = step.scaled**2 * (1 - step.alpha_bar) + step.least
        assert mean == pytest.approx(math.sqrt(share), rel=1e-12)
        assert variance == pytest.approx(1 - share, rel=1e-9, abs=1e-15)
        assert step.least <= step.most == pytest.approx(1 - step.alpha_bar / share)
    assert (steps[-1].clean, steps[-1].scaled, steps[-1].least) == (1, 0, 0)


def test_steps_of_all_timesteps_have_the_betas_of_the_schedule() -> None:
    steps = reverse_steps(LINEAR, list(range(999, -1, -1)))

    betas = np.linspace(1e-4, 0.02, 1000)[::-1]
    assert [step.most for step in steps] == pytest.approx(betas, rel=1e-9)
    assert [step.level for step in steps] == pytest.approx(
        np.sqrt(1 / LINEAR[::-1] - 1), rel=1e-9
    )


@pytest.mark.parametrize(
    ("share", "variance"), [(-1.0, "fixed_small"), (1.0, "fixed_large")]
)
def test_a_learned_variance_lies_between_the_fixed_ones(
    share: float, variance: Variance
) -> None:
    noisy = noisy_copies()
    steps = reverse_steps(COSINE, kept_timesteps(400, 4))

    def walked(variance: Variance) -> torch.Tensor:
        return walk(
            lambda unscaled, level: (0.5 * unscaled, torch.full_like(unscaled, share)),
            noisy,
            steps,
            lambda place: draw_for(noisy)(f"step{place}"),
            variance=variance,
        )

    torch.testing.assert_close(walked("learned"), walked(variance))


def test_a_learned_variance_is_geometric_between_and_of_each_pixel() -> None:
    """One step to timestep 50, whose clean image is then what is left unscaled."""
    steps = reverse_steps(COSINE, [400, 50])
    share = torch.linspace(-1.5, 1.5, 16).view(1, 1, 4, 4)

    walked = walk(
        lambda unscaled, level: (unscaled, share),
        torch.zeros(1, 1, 4, 4),
        steps,
        lambda place: torch.ones(1, 1, 4, 4),
        variance="learned",
    )

    least, most = steps[0].least, steps[0].most
    std = (least * most) ** 0.25 * (most / least) ** (0.25 * share)
    torch.testing.assert_close(walked, std / math.sqrt(steps[1].alpha_bar))
