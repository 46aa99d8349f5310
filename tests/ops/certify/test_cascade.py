import itertools
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import beta, norm

from ops.certify.cascade import Cascade, CertifyCascade
from ops.certify.fixed import CertifyFixed
from ops.columns import Batch, Worker

CPU = Worker(torch.device("cpu"))
ALPHA = 0.001
SIGMAS = (0.25, 0.5, 1.0)

Rows = list[list[int]]


def certify(
    votes: Rows, most: Rows, draws: int = 1000, sigmas: tuple[float, ...] = SIGMAS
) -> Batch:
    op = CertifyCascade(sigmas=sigmas, failure_probability=ALPHA)
    batch = {
        "num_votes": np.array(votes),
        "num_most": np.array(most),
        "num_draws": np.full((len(votes), len(sigmas)), draws),
    }
    found = op.open(CPU)(batch)
    assert set(found) == set(op.writes)
    assert set(batch) == set(op.reads)
    return found


def lower(votes: int, draws: int = 1000, share: float = ALPHA / 3) -> float:
    return float(beta.ppf(share, votes, draws - votes + 1))


def upper(votes: int, draws: int = 1000, share: float = ALPHA / 3) -> float:
    return float(beta.ppf(1 - share, votes + 1, draws - votes))


def test_the_largest_sigma_decides_alone_if_it_answers() -> None:
    found = certify([[900, 900, 800]], [[900, 900, 800]])

    assert found["stage"].tolist() == [2]
    assert found["decided"].tolist() == [True]
    assert found["radius"] == pytest.approx([norm.ppf(lower(800))])


def test_the_silence_before_a_decision_limits_its_radius() -> None:
    found = certify([[999, 700, 10], [999, 990, 10]], [[999, 700, 100]] * 2)
    decided = [0.5 * norm.ppf(lower(votes)) for votes in (700, 990)]
    silent = norm.ppf(1 - upper(100))

    assert found["stage"].tolist() == [1, 1]
    assert found["radius"] == pytest.approx([min(decided[0], silent), decided[1]])
    assert decided[0] < decided[1] < silent


def test_of_several_silent_stages_the_weakest_limits() -> None:
    found = certify([[999, 0, 0]] * 2, [[999, 400, 300], [999, 300, 430]])
    weak = (0.5 * norm.ppf(1 - upper(400)), 1.0 * norm.ppf(1 - upper(430)))

    assert found["stage"].tolist() == [0, 0]
    assert found["radius"] == pytest.approx(weak)


def test_a_stage_that_is_not_sure_ends_the_cascade() -> None:
    found = certify([[999, 999, 510]], [[999, 999, 510]])

    assert lower(510) < 0.5 < upper(510)
    assert found["stage"].tolist() == [2]
    assert found["decided"].tolist() == [False]
    assert found["radius"].tolist() == [0.0]


def test_where_every_stage_is_silent_nothing_is_certified() -> None:
    found = certify([[300, 300, 300]], [[300, 300, 300]])

    assert (found["probability_upper"] < 0.5).all()
    assert found["stage"].tolist() == [0]
    assert found["decided"].tolist() == [False]
    assert found["radius"].tolist() == [0.0]


def test_a_likely_class_that_was_not_guessed_is_no_silence() -> None:
    found = certify([[999, 999, 10]], [[999, 999, 900]])

    assert found["stage"].tolist() == [2]
    assert found["decided"].tolist() == [False]


def test_bounds_share_the_failure_probability_among_stages() -> None:
    found = certify([[900, 600, 0]], [[900, 700, 30]])

    assert found["probability_lower"][0] == pytest.approx([lower(900), lower(600), 0])
    told = found["probability_upper"][0]
    assert told == pytest.approx([upper(900), upper(700), upper(30)])


@pytest.mark.parametrize("sigma", [0.25, 1.0])
def test_one_stage_alone_is_the_fixed_rule(sigma: float) -> None:
    votes = np.arange(0, 1001, 7)
    histograms = np.stack([votes, 1000 - votes], axis=1)
    zero = np.zeros(len(votes), dtype=np.int64)
    fixed = CertifyFixed(sigma=sigma, failure_probability=ALPHA).open(CPU)(
        {
            "votes_select": np.array([[9, 0]] * len(votes)),
            "invalid_select": zero,
            "votes_estimate": histograms,
            "invalid_estimate": zero,
        }
    )

    most = histograms.max(axis=1)[:, None]
    found = certify(votes[:, None].tolist(), most.tolist(), sigmas=(sigma,))

    assert found["radius"].tolist() == fixed["radius"].tolist()
    assert found["decided"].tolist() == (~fixed["abstained"]).tolist()
    told = found["probability_lower"][:, 0]
    assert told.tolist() == fixed["probability_lower"].tolist()


def random_counts(num: int) -> tuple[np.ndarray, np.ndarray]:
    """Return votes and largest counts of three stages, of all kinds."""
    generator = np.random.default_rng(0)
    most = generator.choice([50, 300, 440, 500, 560, 900, 1000], (num, 3))
    guessed_right = generator.random((num, 3)) < 0.7
    return np.where(guessed_right, most, (1000 - most) // 2), most


def test_the_order_in_which_sigmas_are_listed_changes_nothing() -> None:
    votes, most = random_counts(200)
    whole = certify(votes.tolist(), most.tolist())
    sigma = np.array(SIGMAS)[whole["stage"]]

    for order in itertools.permutations(range(3)):
        listed = tuple(SIGMAS[place] for place in order)
        columns = list(order)
        found = certify(
            votes[:, columns].tolist(), most[:, columns].tolist(), sigmas=listed
        )
        assert found["radius"].tolist() == whole["radius"].tolist()
        assert np.array(listed)[found["stage"]].tolist() == sigma.tolist()


def test_stages_after_the_one_that_decides_do_not_matter() -> None:
    votes, most = random_counts(200)
    found = certify(votes.tolist(), most.tolist())
    later = np.arange(3) < found["stage"][:, None]

    again = certify(
        np.where(later, 0, votes).tolist(), np.where(later, 1000, most).tolist()
    )

    for name in ("stage", "decided", "radius"):
        assert found[name].tolist() == again[name].tolist()


def test_more_votes_where_it_answers_and_fewer_before_never_shrink_the_radius() -> None:
    answers = [[0, votes, 0] for votes in range(560, 1001, 5)]
    silences = list(range(0, 430, 5))

    grown = certify(answers, [[0, row[1], 100] for row in answers])["radius"]
    less = certify([[0, 900, 0]] * len(silences), [[0, 900, most] for most in silences])

    assert (np.diff(grown) >= 0).all()
    assert grown[-1] > grown[0]
    assert (np.diff(less["radius"]) <= 0).all()
    assert less["radius"][-1] < less["radius"][0]


def test_votes_for_no_class_are_votes_of_the_likeliest_where_silence_is_asked() -> None:
    quiet = certify([[999, 0, 0]], [[999, 999, 400]])
    lost = certify([[999, 0, 0]], [[999, 999, 400 + 150]])

    assert quiet["stage"].tolist() == [1]
    assert lost["stage"].tolist() == [2]
    assert lost["radius"].tolist() == [0.0]


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="1001 votes of 1000 draws"):
        certify([[0, 0, 0]], [[0, 0, 1001]])


def test_a_cascade_of_one_stage_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValidationError, match=r"in one run; it has 0\.5 alone\."):
        Cascade(stages=(0.5,))
    with pytest.raises(ValidationError, match=r"it has none\. List them in sigma"):
        Cascade()
    assert Cascade(stages=(1.0, 0.5)).stages == (1.0, 0.5)


@pytest.mark.parametrize("wrong", [{"sigmas": ()}, {"failure_probability": 1.0}])
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CertifyCascade.model_validate(
            {"sigmas": SIGMAS, "failure_probability": 0.1} | wrong
        )


def test_agreement_at_the_largest_sigma_is_certified_as_far_as_can_be() -> None:
    found = certify([[0, 0, 1000]], [[0, 0, 1000]])

    failure = -math.expm1(math.log(ALPHA / 3) / 1000)
    assert found["radius"] == pytest.approx([norm.isf(failure)])
