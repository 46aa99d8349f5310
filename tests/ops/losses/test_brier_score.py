import numpy as np
import pytest
import torch

from ops.losses.calibration import brier_score


@pytest.mark.parametrize(
    ("probabilities", "label", "expected"),
    [
        ([[1.0, 0.0, 0.0]], 0, 0.0),  # sure and right
        ([[0.0, 1.0, 0.0]], 0, 2.0),  # sure and wrong
        ([[0.5, 0.25, 0.25]], 0, 0.375),
        ([[0.5, 0.25, 0.25]], 2, 0.25 + 0.0625 + 0.5625),
        ([[1 / 3, 1 / 3, 1 / 3]], 1, 2 / 3),  # in doubt: less than sure and wrong
        ([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]], 0, 0.25),  # of two copies, the mean
    ],
)
def test_the_brier_score_is_what_one_gets_by_hand(
    probabilities: list[list[float]], label: int, expected: float
) -> None:
    scores = torch.tensor(probabilities).clamp(min=1e-30).log()[:, None]

    (found,) = brier_score(scores, torch.tensor([label])).tolist()

    assert found == pytest.approx(expected, abs=1e-6)


def test_of_all_forecasts_the_true_chances_score_best() -> None:
    chances = torch.tensor([0.7, 0.2, 0.1])
    labels = torch.arange(3)

    def expected(forecast: torch.Tensor) -> float:
        scores = forecast.log().expand(1, 3, 3)
        return (chances * brier_score(scores, labels)).sum().item()

    others = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(3), 50))
    assert all(expected(chances) < expected(other) for other in others.float())


def test_copies_that_differ_cost_the_variance_between_them() -> None:
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 5, 3))).float()
    label = torch.tensor([0, 1, 2, 0, 1])
    shares = scores.softmax(dim=2)

    of_mean = brier_score(shares.mean(dim=0, keepdim=True).log(), label)

    spread = shares.var(dim=0, correction=0).sum(dim=1)
    torch.testing.assert_close(brier_score(scores, label), of_mean + spread)
