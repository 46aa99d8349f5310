import math

import numpy as np
import pytest

from ops.score.optimism import optimism


@pytest.mark.parametrize(
    ("num_settings", "expected"),
    [
        (1, 0.0),
        (2, 1 / math.sqrt(math.pi)),
        (3, 1.5 / math.sqrt(math.pi)),
        # Of 4: 3 / sqrt(pi) (1/2 + asin(1/3) / pi), David and Nagaraja 2003.
        (4, 3 / math.sqrt(math.pi) * (0.5 + math.asin(1 / 3) / math.pi)),
        (5, 1.16296),
        (10, 1.53875),
    ],
)
def test_largest_of_few_normal_numbers_has_the_mean_of_the_tables(
    num_settings: int, expected: float
) -> None:
    assert optimism(num_settings, 1.0) == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize("num_settings", [2, 7, 40, 300])
def test_largest_of_many_is_as_large_as_in_a_simulation(num_settings: int) -> None:
    num_studies = 2_000
    scores = np.random.default_rng(0).standard_normal((num_studies, num_settings))

    best = scores.max(axis=1)

    slack = 4 * best.std() / math.sqrt(num_studies)  # four standard errors
    assert abs(optimism(num_settings, 1.0) - best.mean()) <= slack


def test_excess_grows_with_the_number_of_settings_and_stays_below_its_bound() -> None:
    found = np.array([optimism(2**power, 1.0) for power in range(20)])

    # The mean of the largest of n is sqrt(2 ln n) at most.
    assert (np.diff(found) > 0).all()
    assert (found <= np.sqrt(2 * np.log(2.0 ** np.arange(20))) + 1e-12).all()


def test_excess_is_in_the_unit_of_the_standard_error() -> None:
    assert optimism(6, 2.5) == pytest.approx(2.5 * optimism(6, 1.0))
    assert optimism(6, 0.0) == 0.0
