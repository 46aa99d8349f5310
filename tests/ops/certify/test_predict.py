import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from ops.certify.predict import Predict, tie_p_value
from ops.columns import Batch, Worker


def predict(votes: list[list[int]], invalid: list[int] | None = None) -> Batch:
    op = Predict(failure_probability=1e-3)
    batch = {
        "votes_predict": np.array(votes),
        "invalid_predict": np.array(invalid or [0] * len(votes)),
    }
    predictions = op.open(Worker(torch.device("cpu")))(batch)
    assert set(predictions) == set(op.writes)
    return predictions


@pytest.mark.parametrize("num_second", [0, 1, 7, 40])
def test_p_value_is_that_of_scipys_binomial_test(num_second: int) -> None:
    top = np.arange(num_second, num_second + 80)
    second = np.full_like(top, num_second)

    p_values = tie_p_value(top, second)

    for one, two, p_value in zip(top[1:], second[1:], p_values[1:], strict=True):
        expected = binomtest(int(one), int(one + two), 0.5).pvalue
        assert p_value == pytest.approx(expected, rel=1e-9)
    assert p_values[0] == 1.0


def test_clear_majority_is_predicted_and_a_close_one_is_not() -> None:
    predictions = predict([[5, 90, 5], [48, 52, 0]])

    assert predictions["predicted_class"].tolist() == [1, 1]
    assert predictions["abstained"].tolist() == [False, True]
    assert predictions["num_top"].tolist() == [90, 52]
    assert predictions["num_second"].tolist() == [5, 48]


def test_votes_for_no_class_strengthen_the_runner_up() -> None:
    predictions = predict([[60, 10], [60, 10]], invalid=[0, 50])

    assert predictions["num_second"].tolist() == [10, 60]
    assert predictions["abstained"].tolist() == [False, True]


def test_rival_of_nothing_but_lost_votes_is_never_a_reason_to_predict() -> None:
    predictions = predict([[2, 0], [0, 0]], invalid=[98, 100])

    assert predictions["predicted_class"].tolist() == [0, -1]
    assert predictions["p_value"].tolist() == [1.0, 1.0]
    assert predictions["abstained"].all()


def test_ten_agreeing_votes_do_not_suffice_at_one_in_a_thousand_and_eleven_do() -> None:
    """The p-values are 2 / 2**10 and 2 / 2**11."""
    predictions = predict([[10, 0], [11, 0]])

    assert predictions["p_value"] == pytest.approx([2 / 2**10, 2 / 2**11])
    assert predictions["abstained"].tolist() == [True, False]
