import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from ops.attack.ascent import norm_of, unit
from ops.attack.attack import Attack
from ops.attack.ddn import Ddn
from ops.attack.pgd_l2 import PgdL2

Value = tuple[torch.Tensor, torch.Tensor]
WEIGHT = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 4, 4))).float()


def linear(image: torch.Tensor) -> Value:
    value = (WEIGHT * image).sum(dim=(1, 2, 3))
    return value, value > 1e9


def flat(image: torch.Tensor) -> Value:
    value = 0.0 * image.sum(dim=(1, 2, 3))
    return value, value > 0


def images(num: int = 5) -> torch.Tensor:
    pixels = np.random.default_rng(1).random((num, 3, 4, 4), dtype=np.float32)
    return torch.from_numpy(pixels)


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_a_linear_goal_is_climbed_straight_to_the_radius(steps: int) -> None:
    grey = torch.full((2, 3, 4, 4), 0.5)

    shift = PgdL2(steps=steps).perturbed(linear, grey, 0.25) - grey

    torch.testing.assert_close(shift, 0.25 * unit(torch.stack([WEIGHT, WEIGHT])))


@pytest.mark.parametrize("radius", [0.0, 0.1, 2.0, 50.0])
def test_no_shift_leaves_the_ball_or_the_pixels(radius: float) -> None:
    attacked = PgdL2(steps=5).perturbed(linear, images(), radius)

    rounding = 1e-6
    assert norm_of(attacked - images()).max() <= radius * (1 + rounding) + rounding
    assert attacked.min() >= -rounding
    assert attacked.max() <= 1 + rounding


def test_an_infinite_ball_leads_to_the_corner_of_the_pixels() -> None:
    attacked = PgdL2(steps=20).perturbed(linear, images(), 1000.0)

    torch.testing.assert_close(attacked, (WEIGHT > 0).float().expand(5, 3, 4, 4))


def test_a_flat_goal_leaves_the_image_and_makes_no_nan() -> None:
    attacked = PgdL2(steps=3).perturbed(flat, images(), 1.0)

    assert torch.equal(attacked, images())


def test_each_image_is_attacked_by_itself() -> None:
    def curved(image: torch.Tensor) -> Value:
        value = torch.sin(7 * image * WEIGHT).sum(dim=(1, 2, 3))
        return value, value > 0

    attack = PgdL2(steps=4)
    together = attack.perturbed(curved, images(), 0.5)

    one_by_one = [attack.perturbed(curved, one[None], 0.5) for one in images()]
    torch.testing.assert_close(together, torch.cat(one_by_one))
    assert (curved(together)[0] > curved(images())[0]).all()


def test_an_attack_is_found_by_its_kind() -> None:
    adapter = TypeAdapter(Attack)

    assert adapter.validate_python({"kind": "pgd_l2", "steps": 2}) == PgdL2(steps=2)
    assert adapter.validate_python({"kind": "ddn", "steps": 2}) == Ddn(steps=2)
