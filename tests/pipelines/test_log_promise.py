from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import beta, norm

from pipelines.cohen_log import rounded_down
from pipelines.foreign_log import parse_log
from pipelines.log_line import LogRow
from pipelines.log_promise import USUAL, Draws, promise_of


def radii(lost: Sequence[int], draws: Draws, failure_probability: float) -> np.ndarray:
    """Return the radii of some numbers of lost votes, by SciPy's own distributions."""
    votes = draws.num_estimate - np.array(lost)
    lower = beta.ppf(failure_probability, votes, np.array(lost) + 1)
    return draws.sigma * norm.ppf(lower)


def rows(printed: Sequence[str]) -> Sequence[LogRow]:
    lines = [f"{i}\t0\t0\t{text}\t1\t1" for i, text in enumerate(printed)]
    return parse_log("\n".join(lines).encode(), "a.tsv", num_classes=10).rows


LOST = [0, 0, 0, 0, 1, 1, 2, 3, 5, 17, 30, 100, 250]
COHEN = Draws(0.25, 100_000)


@pytest.mark.parametrize("failure_probability", USUAL)
@pytest.mark.parametrize("sigma", [0.12, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("num_estimate", [1_000, 10_000, 100_000])
def test_the_largest_radii_tell_the_failure_probability(
    failure_probability: float, sigma: float, num_estimate: int
) -> None:
    draws = Draws(sigma, num_estimate)
    exact = radii(LOST, draws, failure_probability)

    for write in ("{:.3}".format, rounded_down, "{:.10f}".format):
        text = [write(float(radius)) for radius in exact]
        promise = promise_of(rows(text), draws, None, "a.tsv")

        assert promise.failure_probability == failure_probability
        assert (promise.found, promise.num_unanimous) == ("detected", 4)


def printed(failure_probability: float) -> Sequence[str]:
    return [f"{radius:.3}" for radius in radii(LOST, COHEN, failure_probability)]


@pytest.mark.parametrize(
    ("text", "draws"),
    [
        pytest.param(
            ["0.978", "0.978", "0.955", "0.3"], COHEN, id="too few at the cap"
        ),
        pytest.param(printed(0.003), COHEN, id="an unusual failure probability"),
        # 0.1 ** (1 / 50,000) is 0.01 ** (1 / 100,000).
        pytest.param(printed(0.01), Draws(0.25, 50_000), id="another N, the same cap"),
        pytest.param(["0.0"] * 4, COHEN, id="abstentions alone"),
        pytest.param(printed(0.01), Draws(0.5, 100_000), id="another sigma"),
    ],
)
def test_a_failure_probability_that_cannot_be_told_is_asked_for(
    text: Sequence[str], draws: Draws
) -> None:
    with pytest.raises(ValueError, match="--set failure_probability="):
        promise_of(rows(text), draws, None, "a.tsv")


def test_a_radius_above_what_votes_can_certify_is_refused_by_line() -> None:
    with pytest.raises(ValueError, match=r"up to 0\.9529 .*a\.tsv:2 has 0\.978"):
        promise_of(rows(["0.3", "0.978"]), COHEN, 0.001, "a.tsv")


def test_the_largest_radius_may_have_been_rounded_up() -> None:
    # 0.25 Phi^-1(0.01 ** 1e-5) is 0.97763.
    assert promise_of(rows(["0.978"]), COHEN, 0.01, "a.tsv").num_unanimous == 1
    with pytest.raises(ValueError, match=r"a\.tsv:1 has 0\.979"):
        promise_of(rows(["0.979"]), COHEN, 0.01, "a.tsv")


@pytest.mark.parametrize(
    ("given", "plausible"),
    [
        (0.01, True),
        (0.05, False),  # larger radii could be had, and 0.978 could not
    ],
)
def test_a_failure_probability_that_was_given_is_judged(
    given: float, plausible: bool
) -> None:
    printed = [f"{r:.3}" for r in radii(LOST, COHEN, 0.01)]

    promise = promise_of(rows(printed), COHEN, given, "a.tsv")

    assert (promise.found, promise.failure_probability) == ("given", given)
    assert promise.is_plausible == plausible


def test_radii_far_below_what_is_claimed_are_not_plausible() -> None:
    printed = [f"{r:.3}" for r in radii(LOST, COHEN, 0.01)]

    assert not promise_of(rows(printed), Draws(0.5, 100_000), 0.01, "a").is_plausible
