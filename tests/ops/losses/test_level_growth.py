import math
from typing import Any

import pytest
from pydantic import ValidationError

from ops.losses.level_growth import DoublingGrowth, SquareRootGrowth


def test_levels_grow_as_in_the_paper_on_cifar10() -> None:
    first, last, steps = 2, 150, 800_000
    growth = SquareRootGrowth(first_levels=2, last_levels=151, steps_to_last=steps)

    for step in (0, 1, 1000, 123_456, 400_000, 799_999, 800_000):
        inside = step / steps * ((last + 1) ** 2 - first**2) + first**2
        assert growth.levels_at(step) == math.ceil(math.sqrt(inside) - 1) + 1

    assert (growth.levels_at(0), growth.levels_at(steps)) == (2, 151)


def test_intervals_double_as_in_the_paper_on_cifar10() -> None:
    growth = DoublingGrowth(first_levels=11, last_levels=1281, steps_to_last=350_000)
    stage = 400_000 // (math.floor(math.log2(1280 // 10)) + 1)

    for step in (0, 49_999, 50_000, 99_999, 100_000, 349_999, 350_000, 399_999):
        paper = min(10 * 2 ** (step // stage), 1280) + 1
        assert growth.levels_at(step) == paper


@pytest.mark.parametrize("kind", [SquareRootGrowth, DoublingGrowth])
@pytest.mark.parametrize(("first", "last"), [(2, 18), (3, 4), (10, 151)])
def test_levels_rise_from_the_first_to_the_last_and_stay(
    kind: Any, first: int, last: int
) -> None:
    growth = kind(first_levels=first, last_levels=last, steps_to_last=40)

    levels = [growth.levels_at(step) for step in range(60)]

    assert levels == sorted(levels)
    assert levels[0] == first
    assert max(levels[:39]) < last or kind is SquareRootGrowth
    assert set(levels[40:]) == {last}


@pytest.mark.parametrize("kind", [SquareRootGrowth, DoublingGrowth])
def test_levels_that_do_not_grow_are_refused(kind: Any) -> None:
    with pytest.raises(ValidationError, match="they are 18 and 18"):
        kind(first_levels=18, last_levels=18, steps_to_last=40)
