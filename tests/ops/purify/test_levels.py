"""Golden values: the grid and its nearest levels, in float64 from equation 5 of
arXiv:2206.00364, for the numbers of levels that published models use."""

import numpy as np
import pytest
from pydantic import ValidationError

from ops.purify.levels import Levels

EIGHTEEN = [
    0.002, 0.00753, 0.02293, 0.05995, 0.13952, 0.29644, 0.58535, 1.08817, 1.92334,
    3.25682, 5.31519, 8.40094, 12.91008, 19.35245, 28.37458, 40.78557, 57.58598, 80.0,
]  # fmt: skip

NEAREST = {
    18: [0.1395, 0.2964, 0.5853, 1.0882, 1.9233],
    40: [0.0916, 0.2556, 0.4700, 1.0717, 1.7672],
    81: [0.1018, 0.3183, 0.4927, 0.9654, 2.0036],
    201: [0.0982, 0.2996, 0.5068, 1.0161, 2.0036],
}
"""By number of levels: the nearest to 0.1, 0.3, 0.5, 1 and 2."""


def test_eighteen_levels_are_those_of_the_paper() -> None:
    assert Levels().values() == pytest.approx(EIGHTEEN, abs=5e-6)


@pytest.mark.parametrize("num", NEAREST)
def test_nearest_levels_are_those_of_published_models(num: int) -> None:
    levels = Levels(num=num)

    nearest = [levels.values()[levels.nearest(x)] for x in (0.1, 0.3, 0.5, 1.0, 2.0)]

    assert nearest == pytest.approx(NEAREST[num], abs=5e-5)


@pytest.mark.parametrize("num", [2, 3, 18, 1000])
@pytest.mark.parametrize("rho", [1.0, 7.0])
def test_levels_rise_between_ends_that_are_exact(num: int, rho: float) -> None:
    values = Levels(num=num, rho=rho, lowest=0.007, highest=3.0).values()

    assert values[[0, -1]].tolist() == [0.007, 3.0]
    assert (np.diff(values) > 0).all()
    assert len(values) == num


def test_nearest_changes_half_way_between_two_levels() -> None:
    levels = Levels(num=40)
    values = levels.values()
    middle = (values[1:] + values[:-1]) / 2

    assert [levels.nearest(x * (1 - 1e-9)) for x in middle] == list(range(39))
    assert [levels.nearest(x * (1 + 1e-9)) for x in middle] == list(range(1, 40))


def test_of_two_levels_as_near_the_lower_is_taken() -> None:
    assert Levels(num=3, lowest=1.0, highest=3.0, rho=1.0).nearest(2.5) == 1


def test_what_no_grid_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"highest of at least 2, .*sigma 1 .*is 1\.5"):
        Levels(highest=1.5).nearest(2.0)
    with pytest.raises(ValidationError, match="needs lowest < highest"):
        Levels(lowest=2.0, highest=2.0)
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        Levels(num=1)
