from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, sem, ttest_1samp

from pipelines.curve import Curve
from tune.objective import (
    AverageCertifiedRadius,
    CertifiedAccuracy,
    MeanCertifiedAccuracy,
    Objective,
    radius_of,
)
from tune.trial import Score, Trial

MakeTrial = Callable[..., Trial]

MEAN = MeanCertifiedAccuracy(kind="mean_certified_accuracy", radii=(0.25, 0.5, 1.0))
ACR = AverageCertifiedRadius(kind="average_certified_radius")
ACCURACY = CertifiedAccuracy(radius=0.5)


def curve_of(a_trial: MakeTrial, radii: object, correct: object) -> Curve:
    curve = a_trial(0, radii, correct, score=None).curve
    assert curve is not None
    return curve


@pytest.fixture
def forty(a_trial: MakeTrial) -> Curve:
    """Return certificates of 40 images, some wrong, some at the radii themselves."""
    rng = np.random.default_rng(0)
    radii = rng.choice([0.0, 0.1, 0.25, 0.4, 0.5, 0.7, 1.0, 1.3], 40)
    return curve_of(a_trial, radii, rng.random(40) < 0.8)


def values_of(objective: Objective, curve: Curve) -> list[float]:
    """Return what each image adds to the score, one by one."""
    found = []
    for radius, correct in zip(curve.radius, curve.correct, strict=True):
        if isinstance(objective, AverageCertifiedRadius):
            found.append(float(radius) if correct else 0.0)
            continue
        one = isinstance(objective, CertifiedAccuracy)
        radii = (objective.radius,) if one else objective.radii
        reached = sum(bool(correct) and radius >= needed for needed in radii)
        found.append(100 * reached / len(radii))
    return found


@pytest.mark.parametrize("radius", [0.0, 0.25, 0.26, 0.5, 1.3, 1.31])
def test_accuracy_is_a_share_of_images_with_the_exact_binomial_interval(
    forty: Curve, radius: float
) -> None:
    objective = CertifiedAccuracy(radius=radius)

    found = objective.score(forty)

    num = sum(value > 0 for value in values_of(objective, forty))
    interval = binomtest(num, 40).proportion_ci(0.95, method="exact")
    assert found.value == pytest.approx(100 * num / 40)
    assert found.low == pytest.approx(100 * interval.low)
    assert found.high == pytest.approx(100 * interval.high)


@pytest.mark.parametrize("objective", [MEAN, ACR])
def test_means_over_images_have_students_interval(
    forty: Curve, objective: Objective
) -> None:
    values = values_of(objective, forty)

    found = objective.score(forty)

    interval = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert found.value == pytest.approx(np.mean(values))
    assert found.low == pytest.approx(interval.low)
    assert found.high == pytest.approx(interval.high)


@pytest.mark.parametrize("objective", [ACCURACY, MEAN, ACR])
def test_standard_errors_are_those_of_a_mean_over_images(
    forty: Curve, objective: Objective
) -> None:
    found = objective.standard_error(forty)

    assert found == pytest.approx(sem(values_of(objective, forty)))


@pytest.mark.parametrize("objective", [ACCURACY, MEAN, ACR])
def test_a_score_does_not_depend_on_the_order_of_the_images(
    a_trial: MakeTrial, forty: Curve, objective: Objective
) -> None:
    order = np.random.default_rng(1).permutation(40)
    shuffled = curve_of(a_trial, forty.radius[order], forty.correct[order])

    found, expected = objective.score(shuffled), objective.score(forty)

    numbers = (expected.value, expected.low, expected.high)
    assert (found.value, found.low, found.high) == pytest.approx(numbers)


def test_a_mean_over_one_radius_is_the_accuracy_there(forty: Curve) -> None:
    mean = MeanCertifiedAccuracy(kind="mean_certified_accuracy", radii=(0.5,))

    assert mean.score(forty).value == pytest.approx(ACCURACY.score(forty).value)
    assert mean.standard_error(forty) == pytest.approx(ACCURACY.standard_error(forty))


def test_images_that_all_agree_leave_no_interval_and_one_image_leaves_all(
    a_trial: MakeTrial,
) -> None:
    alike = curve_of(a_trial, [0.5] * 4, [True] * 4)
    alone = curve_of(a_trial, [0.5], [True])

    assert ACR.score(alike) == Score(0.5, 0.5, 0.5)
    assert ACR.score(alone) == Score(0.5, -np.inf, np.inf)


def test_interval_of_the_average_radius_holds_the_truth_as_often_as_it_says(
    a_trial: MakeTrial,
) -> None:
    rng, num_studies, num_images = np.random.default_rng(0), 2_000, 50
    truth = 0.7 * 0.5  # seven in ten are right, with radii uniform in [0, 1]
    num = num_studies * num_images
    whole = curve_of(a_trial, rng.random(num), rng.random(num) < 0.7)

    held = 0
    for start in range(0, num, num_images):
        part = whole.certificates.slice(start, num_images)
        score = ACR.score(replace(whole, certificates=part))
        held += score.low <= truth <= score.high

    slack = 4 * np.sqrt(0.95 * 0.05 / num_studies)  # four standard errors
    assert abs(held / num_studies - 0.95) <= slack


@pytest.mark.parametrize(
    ("objective", "largest", "out"),
    [
        (ACCURACY, 0.5, False),
        (ACCURACY, 0.499, True),
        (MEAN, 0.25, False),
        (MEAN, 0.249, True),
        (ACR, 0.0, False),
    ],
)
def test_an_objective_is_out_of_reach_where_no_image_could_count(
    objective: Objective, largest: float, out: bool
) -> None:
    assert objective.out_of_reach(largest) == out


@pytest.mark.parametrize(
    ("objective", "radius"),
    [
        (ACCURACY, 0.5),
        (MEAN, 0.5),
        (MEAN.model_copy(update={"radii": (0.0, 1.0, 0.75)}), 0.75),
        (ACR, 0.0),
    ],
)
def test_settings_are_compared_at_the_radius_that_the_objective_is_about(
    objective: Objective, radius: float
) -> None:
    assert radius_of(objective) == radius


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (ACCURACY, "certified accuracy at 0.5, percent"),
        (MEAN, "mean certified accuracy at 0.25, 0.5, 1, percent"),
        (ACR, "average certified radius"),
    ],
)
def test_an_objective_says_its_radii(objective: Objective, words: str) -> None:
    assert objective.name == words
