"""Votes of classifiers that say what a table says: one row per copy and local noise."""

import math

import numpy as np
import pytest
import torch

from ops.vote.local_smooth import smoothed_votes


class Table:
    """Logits ``copy local class``; images it is shown spell copy and local noise."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits
        self.calls = 0
        self.images = 0

    def votes(self, *, early_exit: bool) -> torch.Tensor:
        num_copies, num_local, _ = self.logits.shape
        copies = torch.arange(num_copies, dtype=torch.float32).view(-1, 1, 1, 1)
        return smoothed_votes(
            self._classify,
            copies,
            lambda index, wanted: torch.full((len(wanted), 1, 1, 1), index * 4096.0),
            num_local=num_local,
            early_exit=early_exit,
        )

    def _classify(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.images += len(images)
        spelt = images.flatten().long()
        return self.logits[spelt % 4096, spelt // 4096]


@pytest.mark.parametrize("num_local", range(1, 10))
@pytest.mark.parametrize("scale", [0.01, 1.0, 5.0, 1000.0])
@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_early_exit_changes_no_vote(
    num_local: int, scale: float, num_classes: int
) -> None:
    generator = np.random.default_rng(num_local)
    drawn = generator.normal(0, scale, (2_000, num_local, num_classes))
    logits = torch.tensor(drawn, dtype=torch.float32)
    votes = Table(logits).votes(early_exit=False)
    assert torch.equal(votes, Table(logits).votes(early_exit=True))
    confidence = logits.double().softmax(dim=2).mean(dim=1)
    chosen = confidence.gather(1, votes[:, None]).squeeze(1)
    assert (chosen > confidence.max(dim=1).values - 1e-12).all()  # sums are rounded


@pytest.mark.parametrize("num_local", range(2, 10))
def test_early_exit_changes_no_vote_that_hangs_on_the_last_confidence(
    num_local: int,
) -> None:
    """Certain votes in every order: the winner leads by one, or the first of a tie."""
    orders = np.arange(2**num_local)[:, None] >> np.arange(num_local) & 1
    logits = 1000.0 * torch.nn.functional.one_hot(torch.tensor(orders), 2).float()
    ones = orders.sum(axis=1)
    expected = torch.tensor((ones > num_local - ones).astype(np.int64))
    assert torch.equal(Table(logits).votes(early_exit=False), expected)
    assert torch.equal(Table(logits).votes(early_exit=True), expected)


@pytest.mark.parametrize(
    ("num_local", "confidence", "needed"),
    [(5, 0.85, 3), (10, 0.9, 6), (20, 0.9, 12), (9, 0.6, 8), (4, 0.999, 3)],
)
def test_settled_copies_leave_when_no_rest_can_overtake(
    num_local: int, confidence: float, needed: int
) -> None:
    """``j (2 c - 1) > m - j`` first holds at ``floor(m / 2c) + 1`` noises."""
    assert needed == math.floor(num_local / (2 * confidence)) + 1
    logits = torch.tensor([0.0, math.log(confidence / (1 - confidence))])
    table = Table(logits.expand(8, num_local, 2))
    assert (table.votes(early_exit=True) == 1).all()
    assert (table.calls, table.images) == (needed, needed * 8)


def test_copies_that_are_not_settled_go_on_without_the_others() -> None:
    logits = torch.zeros(10, 6, 2)
    logits[::2, :, 1] = 1000.0
    logits[1::2, 5, 1] = 0.1
    table = Table(logits)
    assert (table.votes(early_exit=True) == 1).all()
    assert table.images == 5 * 4 + 5 * 6


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize("early_exit", [False, True])
def test_vote_that_rests_on_no_number_is_for_no_class(
    broken: float, early_exit: bool
) -> None:
    logits = torch.zeros(5, 5, 3)
    logits[:, :, 2] = 1.0
    for copy in range(4):
        logits[copy, copy, copy % 3] = broken
    votes = Table(logits).votes(early_exit=early_exit)
    assert votes.tolist() == [-1, -1, -1, -1, 2]


def test_noise_that_could_not_change_a_vote_may_fail() -> None:
    logits = torch.zeros(1, 5, 3)
    logits[:, :, 2] = 1000.0
    logits[0, 4] = math.nan
    assert Table(logits).votes(early_exit=True).tolist() == [2]
    assert Table(logits).votes(early_exit=False).tolist() == [-1]


def test_confidences_are_averaged_not_logits() -> None:
    logits = torch.tensor([[[0.0, 20.0], [0.5, 0.0], [0.5, 0.0]]])
    many = logits.clone()
    many[0, 1:, 0] = 9.0
    assert Table(logits).votes(early_exit=False).tolist() == [1]
    assert logits.mean(dim=1).argmax() == 1
    assert Table(many).votes(early_exit=False).tolist() == [0]
    assert many.mean(dim=1).argmax() == 1
