import numpy as np
import torch

from ops.columns import Worker
from ops.vote.count_votes import CountVotes, count_votes

VOTES = torch.tensor(np.random.default_rng(0).integers(-1, 7, (40, 100)))


def test_counts_are_the_histogram_of_each_row_with_votes_for_none_apart() -> None:
    op = CountVotes(num_classes=7)
    counted = op.open(Worker(torch.device("cpu")))({"vote": VOTES})
    assert set(counted) == set(op.writes)
    for row, vote in enumerate(VOTES.numpy()):
        expected = np.bincount(vote[vote >= 0], minlength=7)
        assert np.array_equal(counted["counts"][row].numpy(), expected)
        assert counted["invalid"][row] == (vote == -1).sum()


def test_every_row_adds_up_to_its_copies() -> None:
    counts = count_votes(VOTES, num_classes=9)
    assert counts.shape == (40, 10)
    assert (counts.sum(dim=1) == 100).all()
    assert (counts[:, 8:] == 0).all()


def test_counts_of_half_runs_add_up_to_the_whole() -> None:
    whole = count_votes(VOTES.view(1, -1), num_classes=7)
    blocks = count_votes(VOTES, num_classes=7)
    halves = [part.sum(dim=0) for part in blocks.split(20)]
    assert torch.equal(halves[0] + halves[1], whole[0])
