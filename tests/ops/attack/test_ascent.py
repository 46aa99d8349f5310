import pytest
import torch

from ops.attack.ascent import norm_of, of_norm, steepest, unit, within

SHIFT = torch.linspace(-1.0, 2.0, 2 * 3 * 4 * 4).view(2, 3, 4, 4)


@pytest.mark.parametrize("size", [1e-37, 1e-30, 1.0, 1e30])
def test_a_direction_has_norm_one_however_small_the_gradient(size: float) -> None:
    direction = unit(size * SHIFT)

    torch.testing.assert_close(norm_of(direction), torch.ones(2))
    torch.testing.assert_close(direction, unit(SHIFT))


def test_a_shift_of_nothing_has_no_direction_and_no_nan() -> None:
    nothing = torch.zeros(2, 3, 4, 4)

    assert torch.equal(unit(nothing), nothing)
    assert torch.equal(within(nothing, 0.0), nothing)
    assert torch.equal(of_norm(torch.ones(2), nothing), nothing)


def test_a_shift_is_shortened_to_the_radius_and_never_lengthened() -> None:
    short, long = 0.1 * unit(SHIFT), 3.0 * unit(SHIFT)

    torch.testing.assert_close(within(short, 0.5), short)
    torch.testing.assert_close(within(long, 0.5), 0.5 * unit(SHIFT))


def test_the_steepest_way_is_the_gradient_even_where_gradients_are_off() -> None:
    def goal(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (image**2).sum(dim=(1, 2, 3)), torch.tensor([True, False])

    with torch.no_grad():
        direction, reached = steepest(goal, SHIFT)

    torch.testing.assert_close(direction, unit(SHIFT))
    assert reached.tolist() == [True, False]
