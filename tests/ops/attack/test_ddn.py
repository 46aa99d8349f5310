import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from ops.attack.ascent import norm_of
from ops.attack.ddn import Ddn

Value = tuple[torch.Tensor, torch.Tensor]
SHAPE = (3, 16, 16)
NORMAL = torch.from_numpy(np.random.default_rng(0).normal(size=SHAPE)).float()
NORMAL /= NORMAL.norm()
GREY = torch.full((2, *SHAPE), 128 / 255)


def behind_a_plane(distance: float) -> Callable[[torch.Tensor], Value]:
    """Return a goal that is reached beyond a plane at a distance from grey."""

    def goal(image: torch.Tensor) -> Value:
        value = (NORMAL * (image - GREY[0])).sum(dim=(1, 2, 3))
        return value, value > distance

    return goal


def images() -> torch.Tensor:
    levels = np.random.default_rng(1).integers(0, 256, (4, *SHAPE))
    return torch.from_numpy(levels).float() / 255


def test_the_shift_to_a_plane_is_straight_and_hardly_longer_than_needed() -> None:
    distance = 0.6

    shift = Ddn(steps=100).perturbed(behind_a_plane(distance), GREY, 5.0) - GREY

    straight = cosine_similarity(shift.flatten(1), NORMAL.flatten()[None])
    assert straight.min() > 0.98  # pixels are rounded to 8 bits
    assert norm_of(shift).min() > distance
    assert norm_of(shift).max() < 1.06 * distance  # one breath of 5 % and rounding


def test_the_sphere_of_the_first_step_has_the_first_norm_grown_by_a_breath() -> None:
    shift = Ddn(steps=2).perturbed(behind_a_plane(0.9), GREY, 5.0) - GREY

    assert norm_of(shift).tolist() == pytest.approx([1.05] * 2, rel=0.01)


def test_a_sphere_beyond_all_pixels_begins_at_the_farthest_corner() -> None:
    distance, attack = 0.6, Ddn(steps=100, first_norm=1e6)

    shift = attack.perturbed(behind_a_plane(distance), GREY, 100.0) - GREY

    assert norm_of(shift).min() > distance
    assert norm_of(shift).max() < 1.06 * distance


def test_a_shift_beyond_the_radius_is_cut_to_it() -> None:
    shift = Ddn(steps=2).perturbed(behind_a_plane(0.9), GREY, 0.25) - GREY

    assert norm_of(shift).tolist() == pytest.approx([0.25] * 2)
    straight = cosine_similarity(shift.flatten(1), NORMAL.flatten()[None])
    assert straight.min() > 0.99


def test_what_is_already_misclassified_is_left_alone() -> None:
    attacked = Ddn(steps=5).perturbed(behind_a_plane(-0.1), GREY, 1.0)

    assert torch.equal(attacked, GREY)


def test_what_cannot_be_misclassified_is_left_alone() -> None:
    attacked = Ddn(steps=5).perturbed(behind_a_plane(math.inf), GREY, 1.0)

    assert torch.equal(attacked, GREY)


def test_a_flat_goal_makes_no_nan() -> None:
    def flat(image: torch.Tensor) -> Value:
        value = 0.0 * image.sum(dim=(1, 2, 3))
        return value, torch.tensor([True, False, True, False])

    assert torch.equal(Ddn(steps=4).perturbed(flat, images(), 1.0), images())


@pytest.mark.parametrize("radius", [0.0, 0.3, 40.0])
def test_no_shift_leaves_the_ball_or_the_pixels(radius: float) -> None:
    attack = Ddn(steps=30, first_norm=30.0)

    attacked = attack.perturbed(behind_a_plane(0.5), images(), radius)

    rounding = 1e-6
    assert norm_of(attacked - images()).max() <= radius * (1 + rounding) + rounding
    assert attacked.min() >= -rounding
    assert attacked.max() <= 1 + rounding


def test_an_uncut_shift_leads_to_pixels_of_8_bits() -> None:
    attacked = Ddn(steps=20).perturbed(behind_a_plane(0.7), images(), 100.0)

    levels = 255 * attacked
    assert not torch.equal(attacked, images())
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
