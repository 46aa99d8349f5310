"""Ensembles of made members: score tables, and linear functions with closed forms."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from ops.classify.digits_cnn import DigitsCnn
from ops.classify.ensemble import NO_VOTE, Ensemble
from ops.columns import Worker
from ops.noise import gaussian, noise_key
from ops.vote.local_smooth import smoothed_votes
from ops.weights import WeightsRef

Network = Callable[[torch.Tensor], torch.Tensor]
COMBINE = ["logits", "softmax", "vote"]


def table(*scores: Sequence[float]) -> Network:
    """Return a member whose scores of image i are the i-th given."""
    rows = torch.tensor(scores)
    return lambda image: rows[image[:, 0, 0, 0].long()]


def images(num: int) -> torch.Tensor:
    return torch.arange(num).float()[:, None, None, None]


def linear(weight: torch.Tensor, bias: float) -> Network:
    """Return a member of two classes, of which the first leads by w x + b."""

    def score(image: torch.Tensor) -> torch.Tensor:
        lead = image.flatten(1) @ weight + bias
        return torch.stack([lead, torch.zeros_like(lead)], dim=1)

    return score


def random_tables(num_members: int, num_images: int) -> list[torch.Tensor]:
    rng = np.random.default_rng(0)
    drawn = rng.normal(0, 3, (num_members, num_images, 5)).astype(np.float32)
    return list(torch.from_numpy(drawn))


WEIGHTS = [torch.tensor(w) for w in ([3.0, 0.0, 1.0], [1.0, 2.0, 0.0], [0.0, -1.0, 5])]
BIASES = (0.5, -1.0, 2.0)


@pytest.mark.parametrize("shares", [None, (1.0, 2.0, 5.0)])
def test_linear_members_are_one_linear_classifier_with_its_exact_radius(
    opened: Callable[..., Network], shares: tuple[float, ...] | None
) -> None:
    members = [linear(w, b) for w, b in zip(WEIGHTS, BIASES, strict=True)]
    classify = opened(members, member_weights=shares)
    each = torch.tensor(shares or (1.0,) * 3) / sum(shares or (1.0,) * 3)
    weight = (each[:, None] * torch.stack(WEIGHTS)).sum(dim=0)
    bias = float((each * torch.tensor(BIASES)).sum())
    image = torch.tensor([0.3, 0.8, 0.1]).reshape(1, 3, 1, 1)
    distance = float((image.flatten() @ weight + bias) / weight.norm())
    assert distance > 0.3

    towards = -(weight / weight.norm()).reshape(1, 3, 1, 1)
    for step, winner in ((0.99 * distance, 0), (1.01 * distance, 1)):
        assert int(classify(image + step * towards).argmax()) == winner

    # Smoothed: sigma times the probit of the first class's probability is its radius.
    sigma, num = 1.5 * distance, 40_000
    noise = gaussian(noise_key(0, sigma, "x", "estimate", 0), 0, num, (3, 1, 1))
    share = float((classify(image + sigma * noise).argmax(dim=1) == 0).double().mean())
    expected = torch.special.ndtr(torch.tensor(distance / sigma)).item()
    assert share == pytest.approx(expected, abs=4 * math.sqrt(0.25 / num))


def test_mean_confidence_is_that_of_the_softmax_of_what_comes_back(
    opened: Callable[..., Network],
) -> None:
    scores = random_tables(3, 20)
    shares = torch.tensor([0.2, 0.3, 0.5]).double()
    classify = opened(
        [lambda image, s=s: s for s in scores],
        combine="softmax",
        member_weights=(2.0, 3.0, 5.0),
    )
    mean = (shares[:, None, None] * torch.stack(scores).double().softmax(dim=2)).sum(0)
    torch.testing.assert_close(
        classify(images(20)).double().exp(), mean, rtol=1e-5, atol=0
    )
    assert classify(images(20)).dtype == torch.float32


def test_confidence_that_float64_cannot_hold_keeps_its_log(
    opened: Callable[..., Network],
) -> None:
    classify = opened([table([2000.0, 0.0])] * 2, combine="softmax")
    assert classify(images(1)).tolist() == [[0.0, -2000.0]]


def test_votes_are_shares_whatever_the_members_confidence(
    opened: Callable[..., Network],
) -> None:
    members = [table([9.0, 0.0, 0.0]), table([0.0, 0.1, 0.0]), table([0.0, 0.1, 0.0])]
    found = opened(members, combine="vote")(images(1)).double().softmax(dim=1)
    assert found[0].tolist() == pytest.approx([1 / 3, 2 / 3, 0.0], abs=1e-7)

    weighted = opened(members, combine="vote", member_weights=(3.0, 1.0, 1.0))
    shares = weighted(images(1)).double().softmax(dim=1)
    assert shares[0].tolist() == pytest.approx([0.6, 0.4, 0.0], abs=1e-7)


def test_a_unanimous_vote_is_a_whole_confidence_to_the_last_bit(
    opened: Callable[..., Network],
) -> None:
    scores = opened([table([0.0, 0.2, 0.1])] * 3, combine="vote")(images(1))
    assert scores[0].tolist() == pytest.approx([NO_VOTE, 0.0, NO_VOTE])
    assert scores.isfinite().all()
    assert scores.double().softmax(dim=1)[0, 1] == 1.0
    assert 1.0 + scores.double().softmax(dim=1)[0, 0] == 1.0


def test_the_first_of_equal_shares_wins(opened: Callable[..., Network]) -> None:
    members = [table([0.0, 0.0, 1.0]), table([0.0, 1.0, 0.0])]
    assert int(opened(members, combine="vote")(images(1)).argmax()) == 1


@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("wrong", [0, 1, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_member_without_a_number_leaves_its_image_without_a_class(
    opened: Callable[..., Network], combine: str, wrong: int, value: float
) -> None:
    scores = [[[1.0, 0.0], [0.0, 1.0]] for _ in range(3)]
    scores[wrong][0][0] = value
    classify = opened([table(*rows) for rows in scores], combine=combine)
    assert classify(images(2)).isnan().tolist() == [[True, True], [False, False]]
    votes = smoothed_votes(
        classify,
        images(2),
        lambda index, copies: torch.zeros(1),
        num_local=1,
        early_exit=True,
    )
    assert votes.tolist() == [-1, 1]


def test_members_are_read_from_their_own_weights(
    ensemble_of: Callable[..., Ensemble],
) -> None:
    worker = Worker(torch.device("cpu"), batch=4)
    image = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    alone = [
        DigitsCnn(weights=WeightsRef(untrained=seed)).open(worker)(image)
        for seed in range(3)
    ]
    found = ensemble_of(3).open(worker)(image)
    torch.testing.assert_close(found, torch.stack(alone).mean(dim=0))


TEN = {"kind": "digits_cnn", "weights": {"untrained": 0}}
ELEVEN = {**TEN, "num_classes": 11}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"members": [TEN]}, "at least 2 items"),
        ({"members": [TEN, ELEVEN]}, r"same classes; their num_classes are \[10, 11\]"),
        ({"members": [TEN, {"kind": "ensemble", "members": [TEN, TEN]}]}, "'ensemble'"),
        ({"member_weights": [1.0]}, "one number for each of 3 members; it has 1"),
        ({"member_weights": [1.0, 0.0, 1.0]}, "greater than 0"),
        ({"member_weights": [1.0, math.inf, 1.0]}, "finite"),
        ({"consensus": 3}, "fewer than all 3 members; it has 3"),
        ({"consensus": 1}, "greater than or equal to 2"),
        ({"combine": "median"}, "'logits', 'softmax' or 'vote'"),
    ],
)
def test_an_ensemble_that_could_not_work_is_refused(
    ensemble_of: Callable[..., Ensemble], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ensemble_of(**{"num": 3, "members": [TEN] * 3} | fields)


def test_an_ensemble_has_the_classes_of_its_members(
    ensemble_of: Callable[..., Ensemble],
) -> None:
    assert ensemble_of(members=[ELEVEN, ELEVEN]).num_classes == 11


def test_the_whole_ensemble_leaves_no_member_out(
    ensemble_of: Callable[..., Ensemble],
) -> None:
    assert ensemble_of(consensus=2).whole == ensemble_of()
