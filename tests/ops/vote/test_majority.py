from itertools import permutations, product

import pytest
import torch

from ops.vote.majority import majority

ALL = torch.tensor(list(product(range(3), repeat=5)))
"""Every way in which five samples vote for three classes."""


@pytest.mark.parametrize(
    ("votes", "chosen"),
    [
        ([4], 4),
        ([2, 2, 2], 2),
        ([0, 1, 1], 1),
        ([1, 0, 0, 1, 1], 1),
        ([1, 0], 1),  # a tie: the first met, not the first class
        ([3, 0, 0, 3], 3),
        ([2, 0, 1, 1, 0], 0),  # 2 was met first of all, but is not tied
        ([5, 1, 3], 5),
        ([-1], -1),
        ([7, 7, -1], -1),
    ],
)
def test_most_votes_win_and_of_a_tie_the_class_met_first(
    votes: list[int], chosen: int
) -> None:
    assert majority(torch.tensor([votes])).tolist() == [chosen]


def test_no_class_has_more_votes_than_the_chosen_one() -> None:
    counts = torch.nn.functional.one_hot(ALL).sum(dim=1)
    chosen = counts.gather(1, majority(ALL)[:, None]).squeeze(1)

    assert torch.equal(chosen, counts.max(dim=1).values)


@pytest.mark.parametrize("names", list(permutations(range(3))))
def test_other_numbers_for_the_classes_change_no_choice(names: tuple[int, ...]) -> None:
    renamed = torch.tensor(names)

    assert torch.equal(majority(renamed[ALL]), renamed[majority(ALL)])


@pytest.mark.parametrize("place", range(5))
def test_one_sample_without_a_class_leaves_the_copy_without_one(place: int) -> None:
    votes = ALL.clone()
    votes[:, place] = -1

    assert (majority(votes) == -1).all()


def test_every_copy_of_every_row_has_a_majority_of_its_own() -> None:
    rows = ALL.view(3, 81, 5)

    assert torch.equal(majority(rows).flatten(), majority(ALL))


def test_a_tie_of_very_many_samples_still_goes_to_the_first() -> None:
    votes = torch.arange(2).repeat(200)[None]

    assert majority(votes).tolist() == [0]
    assert majority(votes.flip(1)).tolist() == [1]
