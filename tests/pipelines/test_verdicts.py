from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.clean_verdicts import judge_clean
from pipelines.other_settings import candidates
from pipelines.probe import Measured
from pipelines.sample import Sample
from pipelines.verdicts import (
    judge_noise,
    judge_pixels,
    judge_speed,
)

NUM = 100
LABELS = np.arange(NUM) % 10
SAMPLE = Sample(
    keys=tuple(f"image_{i}" for i in range(NUM)),
    labels=tuple(LABELS.tolist()),
    images=tuple(
        np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 4, 4) for _ in LABELS
    ),
)


def right(share: float) -> np.ndarray:
    """Classes of which this share is right and the others are spread over the rest."""
    wrong = (LABELS + 1 + np.arange(NUM) // 10 % 9) % 10
    return np.where(np.arange(NUM) < share * NUM, LABELS, wrong)


GOOD = Measured(
    clean=right(0.95),
    noisy=right(0.6),
    purified=right(0.8),
    voted=right(0.85),
    noisy_psnr=12.0,
    purified_psnr=20.0,
    votes_per_second=1000.0,
    device="CPU",
)


@pytest.fixture
def run(run_of: Callable[..., Any]) -> Any:
    return run_of(
        "expect_clean_accuracy=0.95",
        "purifier={kind: one_shot_ddpm, weights: {untrained: 0}}",
    )


def statuses(checks: list) -> dict[str, str]:
    return {check.name: check.status for check in checks}


def test_a_good_classifier_passes_everything(run: Any) -> None:
    checks = [
        judge_pixels(SAMPLE),
        *judge_clean(GOOD, SAMPLE, run),
        *judge_noise(GOOD, SAMPLE, run),
        judge_speed(GOOD, run, num_images=10, actors=2),
    ]
    assert set(statuses(checks).values()) == {"pass"}


@pytest.mark.parametrize(
    ("share", "expected", "status"),
    [
        (0.95, 0.95, "pass"),
        (0.90, 0.95, "pass"),  # 5 fewer of 100 happens in one sample of 25
        (0.80, 0.95, "fail"),
        (0.30, None, "pass"),
        (0.10, None, "fail"),
    ],
)
def test_clean_accuracy_is_held_to_what_is_expected_or_to_chance(
    run: Any, share: float, expected: float | None, status: str
) -> None:
    asked = run.model_copy(
        update={
            "expect_clean_accuracy": expected,
            "classifier": run.classifier.model_copy(
                update={
                    "weights": run.classifier.weights.model_copy(
                        update={"untrained": None, "path": "w.safetensors"}
                    )
                }
            ),
        }
    )
    checks = judge_clean(replace(GOOD, clean=right(share)), SAMPLE, asked)
    assert statuses(checks)["clean accuracy"] == status


def test_classes_that_are_swapped_are_named(run: Any) -> None:
    swapped = np.array([0, 1, 5, 3, 4, 2, 6, 7, 8, 9])[right(0.97)]

    named = {c.name: c for c in judge_clean(replace(GOOD, clean=swapped), SAMPLE, run)}

    assert named["class order"].status == "fail"
    assert "if 2 is called 5, 5 is called 2" in named["class order"].found


def test_random_classes_are_not_put_down_to_their_order(run: Any) -> None:
    random = np.random.default_rng(0).integers(0, 10, NUM)
    named = {c.name: c for c in judge_clean(replace(GOOD, clean=random), SAMPLE, run)}
    assert named["class order"].status == "pass"
    assert named["clean accuracy"].status == "fail"


def test_numbers_sorted_as_text_are_found_with_one_image_per_class(run: Any) -> None:
    num = 200
    wide = run.model_copy(
        update={"classifier": run.classifier.model_copy(update={"num_classes": num})}
    )
    labels = tuple(range(num))
    place_in_text_order = np.argsort(np.array(sorted(range(num), key=str)))
    sample = replace(SAMPLE, keys=tuple(map(str, labels)), labels=labels)
    measured = replace(GOOD, clean=place_in_text_order)

    named = {c.name: c for c in judge_clean(measured, sample, wide)}

    assert named["class order"].status == "fail"
    assert "100.0 % are right" in named["class order"].found


@pytest.mark.parametrize(
    ("own", "other", "status"),
    [
        (0.9, 0.5, "pass"),
        (0.9, 0.92, "pass"),
        (0.7, 0.95, "fail"),
        (0.88, 0.96, "warn"),
    ],
)
def test_another_input_layer_must_be_better_by_more_than_luck(
    run: Any, own: float, other: float, status: str
) -> None:
    # 20 images that only the other gets right: luck has less than one in a million.
    sample = replace(SAMPLE, keys=SAMPLE.keys * 4, labels=SAMPLE.labels * 4)
    measured = replace(
        GOOD,
        clean=np.tile(right(own), 4),
        other_inputs={"imagenet": np.tile(right(other), 4)},
    )
    asked = run.model_copy(update={"expect_clean_accuracy": None})
    named = {c.name: c for c in judge_clean(measured, sample, asked)}

    assert named["input layer"].status == status
    if status != "pass":
        assert "--set classifier.input='imagenet'" in named["input layer"].remedy


ENSEMBLE = (
    "classifier={kind: ensemble, members: ["
    "{kind: digits_cnn, weights: {untrained: 0}}, "
    "{kind: digits_cnn, weights: {path: a.pt}}]}"
)


def test_the_members_of_an_ensemble_are_told_to_take_another_input_layer(
    run_of: Callable[..., Any],
) -> None:
    measured = replace(GOOD, other_inputs={"half": right(1.0)}, clean=right(0.5))
    checks = judge_clean(measured, SAMPLE, run_of(ENSEMBLE))
    (remedy,) = (check.remedy for check in checks if check.name == "input layer")
    assert "input to 'half' in classifier.members" in remedy


def test_guesses_of_an_ensemble_with_an_untrained_member_are_warned_of(
    run_of: Callable[..., Any],
) -> None:
    checks = judge_clean(replace(GOOD, clean=right(0.1)), SAMPLE, run_of(ENSEMBLE))
    assert statuses(checks)["clean accuracy"] == "warn"


def test_a_purifier_that_harms_fails_unless_it_was_never_trained(run: Any) -> None:
    harmful = replace(GOOD, purified_psnr=8.0)
    trained = run.purifier.weights.model_copy(update={"untrained": None, "path": "w"})
    with_weights = run.model_copy(
        update={"purifier": run.purifier.model_copy(update={"weights": trained})}
    )
    assert judge_noise(harmful, SAMPLE, run)[1].status == "warn"
    assert judge_noise(harmful, SAMPLE, with_weights)[1].status == "fail"
    assert judge_noise(GOOD, SAMPLE, with_weights)[1].status == "pass"


@pytest.mark.parametrize(
    ("gain", "status"), [(-3.0, "pass"), (0.5, "pass"), (4.7, "fail")]
)
def test_a_setting_under_which_the_purifier_denoises_better_is_named(
    run: Any, gain: float, status: str
) -> None:
    measured = replace(GOOD, other_purifiers={"prediction=v": gain, "x": -9.0})
    check = {c.name: c for c in judge_noise(measured, SAMPLE, run)}["settings at 0.25"]
    assert check.status == status
    assert ("--set purifier.prediction=v" in check.remedy) == (status == "fail")


def test_votes_no_better_than_chance_are_warned_of(run: Any) -> None:
    (*_, accuracy) = judge_noise(replace(GOOD, voted=right(0.1)), SAMPLE, run)
    assert accuracy.status == "warn"


@pytest.mark.parametrize(
    ("image", "status"),
    [
        (np.full((1, 4, 4), 0.004, np.float32), "fail"),  # divided by 255 twice
        (np.full((1, 4, 4), 0.5, np.float32), "warn"),
        (np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 4, 4), "pass"),
    ],
)
def test_pixels_are_judged_by_their_range(image: np.ndarray, status: str) -> None:
    assert judge_pixels(replace(SAMPLE, images=(image,) * NUM)).status == status


def test_the_time_left_is_votes_over_rate(run: Any) -> None:
    sampling = run.sampling.model_copy(
        update={"num_select": 100, "num_estimate": 100_000}
    )
    asked = run.model_copy(update={"sampling": sampling})
    check = judge_speed(GOOD, asked, num_images=3600, actors=10)
    assert "10.0 hours with 10 actors" in check.found


def test_no_candidate_is_the_layer_that_is_taken() -> None:
    layers = candidates(None)
    for name, layer in layers.items():
        assert name not in candidates(layer)
        assert len(candidates(layer)) == len(layers) - 1


@pytest.mark.parametrize("kind", ["edm", "pf_ode", "consistency"])
def test_only_who_returns_a_mean_has_to_come_nearer_than_the_copy(
    run_of: Callable[..., Any], kind: str
) -> None:
    worse = replace(GOOD, purified_psnr=GOOD.noisy_psnr - 1)
    run = run_of(f"purifier={{kind: {kind}, weights: {{path: a}}}}")

    told = statuses(judge_noise(worse, SAMPLE, run))["purifier at 0.25"]

    assert told == ("fail" if kind == "edm" else "warn")
