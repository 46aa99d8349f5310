"""The Frechet distance against closed forms, and what must not change it."""

import re

import numpy as np
import pytest

from ops.score.frechet import frechet_distance, frechet_of_moments

RANDOM = np.random.default_rng(0)
FIRST = RANDOM.normal(size=(40, 6)) * [1, 2, 3, 1, 1, 0.5]
SECOND = RANDOM.normal(size=(30, 6)) + 0.3
ROTATION = np.linalg.qr(RANDOM.normal(size=(6, 6)))[0]


def test_a_set_is_at_no_distance_from_itself_even_with_fewer_images_than_features() -> (
    None
):
    few = RANDOM.normal(size=(4, 50))

    assert frechet_distance(FIRST, FIRST) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(few, few[::-1]) == pytest.approx(0, abs=1e-12)


def test_axis_aligned_gaussians_are_as_far_apart_as_means_and_stds() -> None:
    means = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, -1.0]])
    stds = np.array([[1.0, 2.0, 0.0], [3.0, 2.0, 0.5]])

    found = frechet_of_moments(
        means[0], np.diag(stds[0] ** 2), means[1], np.diag(stds[1] ** 2)
    )

    exact = ((means[0] - means[1]) ** 2 + (stds[0] - stds[1]) ** 2).sum()
    assert found == pytest.approx(exact, rel=1e-12)


def test_two_by_two_covariances_that_do_not_commute_have_a_closed_form() -> None:
    first, second = np.array([[2.0, 1.0], [1.0, 2.0]]), np.diag([1.0, 4.0])
    zero = np.zeros(2)

    found = frechet_of_moments(zero, first, zero, second)

    # The root of a 2 x 2 matrix M has trace sqrt(tr M + 2 sqrt(det M)).
    product = first @ second
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    assert found == pytest.approx(np.trace(first + second) - 2 * root, rel=1e-12)


def test_the_distance_of_samples_tends_to_that_of_their_gaussians() -> None:
    random = np.random.default_rng(1)
    first = random.normal(size=(100_000, 2))
    second = random.normal(size=(100_000, 2)) * [2.0, 1.0] + [1.0, 0.0]

    # Standard errors of means and stds are below 0.01 each.
    assert frechet_distance(first, second) == pytest.approx(2.0, abs=0.05)


def test_covariances_are_taken_over_one_less_than_the_images() -> None:
    pair, point = np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]])

    assert frechet_distance(pair, point) == pytest.approx(2.0, rel=1e-12)


def test_order_rotation_and_shift_change_nothing() -> None:
    plain = frechet_distance(FIRST, SECOND)

    assert plain > 1
    assert frechet_distance(SECOND, FIRST) == pytest.approx(plain, rel=1e-10)
    assert frechet_distance(FIRST[::-1], SECOND) == pytest.approx(plain, rel=1e-10)
    turned = frechet_distance(FIRST @ ROTATION + 5, SECOND @ ROTATION + 5)
    assert turned == pytest.approx(plain, rel=1e-10)


def test_doubling_the_features_makes_the_squared_distance_four_times_as_large() -> None:
    plain = frechet_distance(FIRST, SECOND)

    assert frechet_distance(2 * FIRST, 2 * SECOND) == pytest.approx(4 * plain)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (FIRST[:1], SECOND, "at least 2 images in each set; first has 1"),
        (FIRST, SECOND[:, :5], "first has 6 and second 5"),
        (FIRST, np.full((3, 6), np.nan), "finite features; second has others in row 0"),
    ],
)
def test_sets_that_have_no_distance_are_refused(
    first: np.ndarray, second: np.ndarray, said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        frechet_distance(first, second)
