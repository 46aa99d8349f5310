"""One pass over purified copies gives the votes that dedicated runs give."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ops.columns import Worker
from ops.noise import gaussian, noise_key
from ops.vote.local_noise import Local
from ops.vote.local_smooth import LocalSmooth, smoothed_votes
from ops.vote.trace_votes import Head, TraceVotes, traced_votes

CPU = torch.device("cpu")
LOCALS = (
    Local(sigma=0.5, num=9),
    Local(sigma=0.25, num=4, noise="fresh"),
    Local(sigma=0.5, num=6, distribution="laplace", seed=7),
    Local(sigma=0.0, num=1),
)
ROWS = [("a", "select", 0), ("a", "estimate", 3), ("b", "estimate", 3)]


class Linear:
    """A classifier of five classes whose scores are linear in the pixels."""

    def __init__(self) -> None:
        self.num_copies = 0

    def model_dump_json(self) -> str:
        return "linear"

    def open(self, worker: Worker) -> Callable[[torch.Tensor], torch.Tensor]:
        weights = gaussian(noise_key(3, 1.0, "", "weights", 0), 0, 48, (5,))

        def classify(image: torch.Tensor) -> torch.Tensor:
            self.num_copies += len(image)
            return 3 * image.flatten(1) @ weights

        return classify


LINEAR = Linear()


def batch() -> dict[str, Any]:
    keys, streams, blocks = zip(*ROWS, strict=True)
    purified = gaussian(noise_key(5, 1.0, "", "copies", 0), 0, 90, (3, 4, 4)) / 5
    return {
        "purified": purified.view(3, 30, 3, 4, 4),
        "image_key": list(keys),
        "stream": list(streams),
        "block": list(blocks),
        "wanted": [[True] * 4, [True, True, False, False], [False] * 4],
    }


def test_each_trace_is_the_vote_of_a_run_with_this_noise_and_number() -> None:
    heads = [Head.model_construct(classifier=LINEAR, local=one) for one in LOCALS]
    op = TraceVotes.model_construct(heads=tuple(heads), sigma=1.0, seed=11)
    columns = batch()
    traces = op.open(Worker(CPU, batch=7))(columns)["traces"]

    assert [sorted(own) for own in traces] == [[0, 1, 2, 3], [0, 1], []]
    seen = set()
    for row, own in enumerate(traces):
        for number, votes in own.items():
            local = LOCALS[number]
            assert votes.shape == (local.num, 30)
            for num in range(1, local.num + 1):
                dedicated = LocalSmooth.model_construct(
                    classifier=Linear(),
                    local=local.model_copy(update={"num": num}),
                    sigma=1.0,
                    seed=11,
                    early_exit=True,
                ).open(Worker(CPU, batch=11))(columns)["vote"]
                assert torch.equal(votes[num - 1], dedicated[row]), (local, num)
            seen |= set(votes.flatten().tolist())
            moved = (votes[0] != votes[-1]).any()
            assert moved or local.num == 1
    assert len(seen) == 5


def scores_of(tables: torch.Tensor) -> tuple[Any, Any, list[int]]:
    """Return a classifier that reads ``num copy class``, its copies and noise."""
    copies = torch.arange(tables.shape[1], dtype=torch.float32).view(-1, 1, 1, 1)
    asked: list[int] = []

    def noise(index: int, wanted: torch.Tensor) -> torch.Tensor:
        asked.extend(wanted.tolist())
        return torch.full((len(wanted), 1, 1, 1), index * 1000.0)

    def classify(image: torch.Tensor) -> torch.Tensor:
        index, copy = (image.flatten() / 1000).floor().long(), image.flatten() % 1000
        return tables[index, copy.long()]

    return classify, (copies, noise), asked


@pytest.mark.parametrize("broken", [None, float("nan"), float("inf")])
def test_votes_agree_with_dedicated_runs_whatever_the_scores(
    broken: float | None,
) -> None:
    scores = 4 * gaussian(noise_key(1, 1.0, "", "scores", 0), 0, 11, (300, 3))
    if broken is not None:
        scores[torch.arange(0, 11)[:, None] == torch.arange(300) % 17] = broken
    classify, (copies, noise), _ = scores_of(scores)
    traced = traced_votes(classify, copies, noise, num_local=11)

    for num in range(1, 12):
        alone = smoothed_votes(classify, copies, noise, num_local=num, early_exit=True)
        assert torch.equal(traced[num - 1], alone)
    assert bool((traced == -1).any()) == (broken is not None)


def test_a_copy_leaves_when_no_number_of_noises_can_change_its_vote() -> None:
    sure = torch.zeros(10, 1, 3)
    sure[:, :, 1] = 50.0
    classify, (copies, noise), asked = scores_of(sure)

    votes = traced_votes(classify, copies, noise, num_local=10)

    assert votes.flatten().tolist() == [1] * 10
    assert len(asked) == 6  # the sixth leads by more than the four that are left
