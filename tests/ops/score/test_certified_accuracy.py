import numpy as np
import pytest
from scipy.stats import binomtest

from ops.score.certified_accuracy import (
    accuracy,
    average_certified_radius,
    binomial_interval,
    certified_correct,
    envelope,
    num_certified,
)


def test_abstentions_and_wrong_classes_are_not_certified() -> None:
    correct = certified_correct(
        np.array([1, 1, 1]), np.array([1, 2, 1]), np.array([False, False, True])
    )

    assert correct.tolist() == [True, False, False]


def test_radius_counts_up_to_and_at_itself() -> None:
    correct = np.array([True, True, True, False])
    radius = np.array([0.0, 0.5, 1.0, 9.0])

    counted = num_certified(correct, radius, np.array([0.0, 0.25, 0.5, 1.0, 1.01]))

    assert counted.tolist() == [3, 2, 2, 1, 0]


def test_average_certified_radius_is_the_area_under_the_curve() -> None:
    generator = np.random.default_rng(0)
    correct, radius = generator.random(200) < 0.7, generator.random(200)
    radii = np.linspace(0, 1, 20_001)

    area = np.trapezoid(num_certified(correct, radius, radii) / 200, radii)

    average = average_certified_radius(correct, radius)
    assert average == pytest.approx(area, abs=1e-4)


@pytest.mark.parametrize("num_correct", [0, 1, 250, 500])
def test_interval_is_scipys_exact_one_in_percent(num_correct: int) -> None:
    low, high = binomial_interval(np.array([num_correct]), 500)

    expected = binomtest(num_correct, 500).proportion_ci(0.95, method="exact")
    assert low[0] == pytest.approx(100 * expected.low, rel=1e-9)
    assert high[0] == pytest.approx(100 * expected.high, rel=1e-9)


def test_half_of_500_images_is_known_to_4_and_a_half_points() -> None:
    low, high = binomial_interval(np.array([250]), 500)

    assert (high - low)[0] / 2 == pytest.approx(4.47, abs=0.01)


def test_no_class_is_no_right_class() -> None:
    assert accuracy(np.array([0, 1, 2, 3]), np.array([0, 1, -1, 0])) == 0.5


def test_envelope_names_the_best_sigma_of_each_radius() -> None:
    accuracies = np.array([[0.9, 0.4, 0.0], [0.7, 0.5, 0.0], [0.9, 0.1, 0.2]])

    assert envelope(accuracies).tolist() == [0, 1, 2]
