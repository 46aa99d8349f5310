"""Ensembles that ask some members only where the first ones disagree."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from ops.classify.digits_cnn import DigitsCnn
from ops.classify.ensemble import Ensemble
from ops.columns import Worker
from ops.vote.local_noise import Local
from ops.vote.local_smooth import LocalSmooth
from ops.vote.trace_votes import Head, TraceVotes
from ops.weights import WeightsRef

Network = Callable[[torch.Tensor], torch.Tensor]
COMBINE = ["logits", "softmax", "vote"]


def table(*scores: Sequence[float]) -> Network:
    """Return a member whose scores of image i are the i-th given."""
    rows = torch.tensor(scores)
    return lambda image: rows[image[:, 0, 0, 0].long()]


def images(num: int) -> torch.Tensor:
    return torch.arange(num).float()[:, None, None, None]


def random_tables(num_members: int, num_images: int) -> list[torch.Tensor]:
    rng = np.random.default_rng(0)
    drawn = rng.normal(0, 3, (num_members, num_images, 5)).astype(np.float32)
    return list(torch.from_numpy(drawn))


@pytest.mark.parametrize("combine", COMBINE)
def test_a_consensus_is_the_whole_ensemble_where_all_agree(
    opened: Callable[..., Network], combine: str
) -> None:
    scores = random_tables(4, 200)
    classes = torch.stack(scores).argmax(dim=2)
    agree = (classes == classes[0]).all(dim=0)
    assert 1 <= int(agree.sum()) < 200
    members = [table(*rows.tolist()) for rows in scores]

    early = opened(members, combine=combine, consensus=2)(images(200))
    whole = opened(members, combine=combine)(images(200))

    assert torch.equal(early[agree].argmax(dim=1), whole[agree].argmax(dim=1))
    assert torch.equal(early[agree].argmax(dim=1), classes[0, agree])


@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("num", [2, 3])
def test_scores_are_of_the_first_where_they_agree_and_of_all_elsewhere(
    opened: Callable[..., Network], combine: str, num: int
) -> None:
    scores, weights = random_tables(4, 200), (1.0, 2.0, 3.0, 4.0)
    classes = torch.stack(scores).argmax(dim=2)
    agree = (classes[:num] == classes[0]).all(dim=0)
    members = [table(*rows.tolist()) for rows in scores]
    own = {"combine": combine, "member_weights": weights}

    found = opened(members, **own, consensus=num)(images(200))

    first = {"combine": combine, "member_weights": weights[:num]}
    of_first = opened(members[:num], **first)(images(200))
    of_all = opened(members, **own)(images(200))
    assert torch.equal(found, torch.where(agree[:, None], of_first, of_all))


class Counting:
    """A member that says which images it was asked about, and in what shapes."""

    def __init__(self, network: Network) -> None:
        self.network, self.seen, self.shapes = network, [], set()

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        self.seen += image[:, 0, 0, 0].tolist()
        self.shapes.add(tuple(image.shape))
        return self.network(image)


def test_the_rest_is_asked_only_where_the_first_disagree_and_in_one_shape(
    opened: Callable[..., Network],
) -> None:
    one, two = [1.0, 0.0], [0.0, 1.0]
    first = [table(*[one] * 9), table(*([one] * 2 + [two] * 5 + [one] * 2))]
    rest = [Counting(table(*[one] * 9)), Counting(table(*[two] * 9))]
    classify = opened([*first, *rest], consensus=2, batch=4)

    classify(images(2))
    assert [member.seen for member in rest] == [[], []]

    classify(images(9))
    for member in rest:
        assert member.seen == [2, 3, 4, 5, 6, 0, 0, 0]  # zeros fill the second call
        assert member.shapes == {(4, 1, 1, 1)}


@torch.no_grad()
@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("consensus", [None, 2])
def test_scores_of_an_image_do_not_depend_on_the_rest_of_the_batch(
    ensemble_of: Callable[..., Ensemble], combine: str, consensus: int | None
) -> None:
    worker = Worker(torch.device("cpu"), batch=8)
    classify = ensemble_of(4, combine=combine, consensus=consensus).open(worker)
    drawn = np.random.default_rng(0).normal(0.5, 1, (8, 1, 8, 8)).astype(np.float32)
    image, other = torch.from_numpy(drawn), torch.from_numpy(drawn[::-1].copy())
    other[0] = image[0]
    assert torch.equal(classify(image)[0], classify(other)[0])
    assert not torch.equal(classify(image)[1], classify(other)[1])


@torch.no_grad()
@pytest.mark.parametrize("consensus", [None, 2])
def test_copies_of_one_network_smooth_and_trace_as_that_network(
    ensemble_of: Callable[..., Ensemble],
    consensus: int | None,
) -> None:
    worker = Worker(torch.device("cpu"), batch=8)
    alone = DigitsCnn(weights=WeightsRef(untrained=0))
    copies = ensemble_of(members=[alone.model_dump()] * 3, consensus=consensus)
    drawn = np.random.default_rng(0).normal(0.5, 1, (1, 20, 1, 8, 8))
    batch = {
        "purified": torch.from_numpy(drawn).float(),
        **{"image_key": ["x"], "stream": ["select"], "block": [0]},
        "wanted": [[True, True]],
    }
    local = Local(sigma=0.5, num=3)
    smooth = [
        LocalSmooth(classifier=one, local=local, sigma=0.5, seed=0).open(worker)(batch)
        for one in (alone, copies)
    ]
    assert torch.equal(smooth[0]["vote"], smooth[1]["vote"])
    assert smooth[0]["vote"].unique().numel() > 1
    heads = tuple(Head(classifier=one, local=local) for one in (alone, copies))
    traced = TraceVotes(heads=heads, sigma=0.5, seed=0).open(worker)(batch)
    (of_alone, of_copies) = traced["traces"][0].values()
    assert torch.equal(of_alone, of_copies)
    assert torch.equal(of_alone[-1], smooth[0]["vote"][0])
