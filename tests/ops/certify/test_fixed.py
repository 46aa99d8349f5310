import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ops.certify.clopper_pearson import largest_radius
from ops.certify.fixed import CertifyFixed, Fixed
from ops.columns import Batch, Worker

Histograms = list[list[int]]


def certify(
    select: Histograms,
    estimate: Histograms,
    invalid_estimate: list[int] | None = None,
    sigma: float = 0.5,
) -> Batch:
    op = CertifyFixed(sigma=sigma, failure_probability=1e-3)
    batch = {
        "votes_select": np.array(select),
        "invalid_select": np.zeros(len(select), dtype=np.int64),
        "votes_estimate": np.array(estimate),
        "invalid_estimate": np.array(invalid_estimate or [0] * len(select)),
    }
    certificates = op.open(Worker(torch.device("cpu")))(batch)
    assert set(certificates) == set(op.writes)
    assert set(batch) == set(op.reads)
    return certificates


def test_agreement_is_certified_at_the_largest_radius() -> None:
    certificates = certify([[0, 10]], [[0, 1000]])

    assert certificates["guessed_class"].tolist() == [1]
    assert certificates["radius"][0] == pytest.approx(largest_radius(0.5, 1000, 1e-3))
    assert not certificates["abstained"][0]


def test_class_is_guessed_from_votes_of_its_own() -> None:
    certificates = certify([[6, 4]], [[100, 900]])

    assert certificates["guessed_class"].tolist() == [0]
    assert certificates["num_votes"].tolist() == [100]
    assert certificates["smoothed_class"].tolist() == [1]
    assert certificates["abstained"].tolist() == [True]
    assert certificates["radius"].tolist() == [0.0]
    assert certificates["radius_two_sided"].tolist() == [0.0]


def test_first_class_wins_a_tie() -> None:
    assert certify([[0, 5, 5]], [[0, 9, 9]])["guessed_class"].tolist() == [1]
    assert certify([[0, 5, 5]], [[0, 9, 9]])["smoothed_class"].tolist() == [1]


def test_rows_without_a_guess_abstain_with_no_votes() -> None:
    certificates = certify([[0, 0]], [[1000, 0]])

    assert certificates["guessed_class"].tolist() == [-1]
    assert certificates["num_votes"].tolist() == [0]
    assert certificates["num_draws"].tolist() == [1000]
    assert certificates["probability_lower"].tolist() == [0.0]
    assert certificates["abstained"].tolist() == [True]
    assert certificates["radius"].tolist() == [0.0]
    assert certificates["radius_two_sided"].tolist() == [0.0]


def test_rows_without_any_vote_abstain() -> None:
    certificates = certify([[0, 0]], [[0, 0]])

    assert certificates["smoothed_class"].tolist() == [-1]
    assert certificates["abstained"].tolist() == [True]
    assert certificates["radius"].tolist() == [0.0]
    assert certificates["radius_two_sided"].tolist() == [0.0]


def test_votes_for_no_class_count_like_votes_for_the_rival() -> None:
    invalid = certify([[9, 0]], [[900, 60]], invalid_estimate=[40])
    rival = certify([[9, 0]], [[900, 100]])

    for name in ("num_votes", "num_draws", "radius", "radius_two_sided"):
        assert invalid[name].tolist() == rival[name].tolist()


def test_abstention_starts_where_the_bound_falls_below_one_half() -> None:
    top = np.arange(500, 600)
    certificates = certify(
        [[9, 0]] * len(top), np.stack([top, 1000 - top], axis=1).tolist()
    )

    below = certificates["probability_lower"] < 0.5
    assert certificates["abstained"].tolist() == below.tolist()
    assert (certificates["radius"][below] == 0).all()
    assert (certificates["radius"][~below] > 0).all()
    assert 0 < below.sum() < len(top)


def test_two_classes_lose_only_the_split_of_the_failure_probability() -> None:
    certificates = certify([[9, 0]] * 2, [[900, 100], [1000, 0]])
    half = CertifyFixed(sigma=0.5, failure_probability=5e-4)
    batch = {
        "votes_select": np.array([[9, 0]] * 2),
        "votes_estimate": np.array([[900, 100], [1000, 0]]),
        "invalid_estimate": np.zeros(2, dtype=np.int64),
    }

    one_sided = half.open(Worker(torch.device("cpu")))(batch)["radius"]

    assert certificates["radius_two_sided"] == pytest.approx(one_sided)


def test_spread_rivals_give_the_two_sided_radius_an_advantage() -> None:
    certificates = certify([[9, 0, 0, 0]], [[700, 100, 100, 100]])

    assert certificates["radius_two_sided"][0] > certificates["radius"][0]


def test_rows_do_not_touch_each_other() -> None:
    select, estimate = [[9, 1], [0, 0], [2, 8]], [[990, 10], [5, 5], [300, 700]]
    together = certify(select, estimate)

    for row in range(3):
        alone = certify([select[row]], [estimate[row]])
        for name, column in together.items():
            assert alone[name][0] == column[row]


@pytest.mark.parametrize("wrong", [{"sigma": 0.0}, {"failure_probability": 1.0}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        CertifyFixed.model_validate({"sigma": 1.0, "failure_probability": 0.1} | wrong)


def test_rule_is_named_in_a_recipe_by_its_kind() -> None:
    assert Fixed.model_validate({"kind": "fixed"}) == Fixed()
