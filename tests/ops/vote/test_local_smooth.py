"""What a classifier is shown around purified copies, and what becomes of its answer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.noise import Distribution, gaussian, noise_key
from ops.vote.count_votes import CountVotes
from ops.vote.local_noise import Local
from ops.vote.local_smooth import LocalSmooth
from ops.weights import WeightsRef

CPU = torch.device("cpu")
ROWS = [
    ("a", "select", 0),
    ("a", "select", 1),
    ("a", "estimate", 0),
    ("b", "select", 0),
]
FIXED = Local(sigma=0.5, num=3)
FRESH = Local(sigma=0.5, num=3, noise="fresh")
Row = tuple[str, str, int]


class Recorder:
    """A classifier that keeps what it is shown and votes by the first pixel's sign."""

    def __init__(self) -> None:
        self.shown: list[torch.Tensor] = []

    def open(self, worker: Worker) -> Callable[[torch.Tensor], torch.Tensor]:
        def classify(image: torch.Tensor) -> torch.Tensor:
            self.shown.append(image.clone())
            pixel = image[:, :1, 0, 0]
            return torch.cat([-pixel, pixel], dim=1)

        return classify


def noise_around(
    rows: list[Row],
    local: Local,
    *,
    seed: int = 0,
    sigma: float = 0.25,
    shape: tuple[int, ...] = (1, 8, 8),
) -> torch.Tensor:
    """Return the local noises ``row copy local ...`` around black copies."""
    recorder, copies = Recorder(), 6
    op = LocalSmooth.model_construct(
        classifier=recorder, local=local, sigma=sigma, seed=seed, early_exit=False
    )
    keys, streams, blocks = zip(*rows, strict=True)
    batch = {
        "purified": torch.zeros(len(rows), copies, *shape),
        "image_key": keys,
        "stream": streams,
        "block": blocks,
    }
    op.open(Worker(CPU, batch=len(rows) * copies))(batch)
    shown = torch.stack(recorder.shown, dim=1)
    return shown.view(len(rows), copies, local.num, *shape)


def num_distinct(noise: torch.Tensor) -> int:
    """Count noises by their first pixels."""
    return len(noise[..., 0, 0, 0].unique())


def test_fixed_noises_are_the_same_for_every_copy_of_every_run() -> None:
    noise = noise_around(ROWS, FIXED)
    assert (noise == noise[:1, :1]).all()
    assert num_distinct(noise) == 3
    assert torch.equal(noise, noise_around(ROWS, FIXED, seed=1, sigma=0.5))


def test_fixed_noises_follow_from_their_own_seed() -> None:
    other = FIXED.model_copy(update={"seed": 43})
    assert (noise_around(ROWS, FIXED) != noise_around(ROWS, other)).all()


def test_fixed_noises_begin_with_those_of_any_smaller_number() -> None:
    three, five = (
        noise_around(ROWS, Local(sigma=0.5, num=num), shape=(3, 5, 7)) for num in (3, 5)
    )
    assert torch.equal(five[:, :, :3], three)


def test_fresh_noises_are_different_for_every_vote() -> None:
    assert num_distinct(noise_around(ROWS, FRESH)) == len(ROWS) * 6 * 3


@pytest.mark.parametrize("changed", [{"seed": 1}, {"sigma": 0.5}])
def test_fresh_noises_hang_on_the_run(changed: dict[str, Any]) -> None:
    noise = noise_around(ROWS, FRESH)
    assert torch.equal(noise, noise_around(ROWS, FRESH))
    assert (noise != noise_around(ROWS, FRESH, **changed)).all()


def test_fresh_noises_of_a_row_depend_on_no_other_row() -> None:
    together = noise_around(ROWS, FRESH)
    assert torch.equal(together, noise_around(ROWS[::-1], FRESH).flip(0))
    alone = torch.cat([noise_around([row], FRESH) for row in ROWS])
    assert torch.equal(together, alone)


def test_fresh_noise_is_none_of_the_noise_that_is_certified() -> None:
    noise = noise_around(ROWS[:1], FRESH)
    certified = gaussian(noise_key(0, 0.25, *ROWS[0]), 0, 6, (1, 8, 8))
    for index in range(3):
        both = torch.stack([noise[0, :, index].flatten(), certified.flatten()])
        # 384 pairs: four standard errors of a correlation are 0.2.
        assert both.corrcoef()[0, 1].abs() < 4 / 384**0.5


@pytest.mark.parametrize("noise", ["fixed", "fresh"])
@pytest.mark.parametrize(
    "distribution", ["gaussian", "uniform", "laplace", "rademacher"]
)
@pytest.mark.parametrize("sigma", [0.12, 0.5])
def test_local_noise_has_the_same_std_whatever_its_distribution(
    noise: str, distribution: Distribution, sigma: float
) -> None:
    local = Local.model_validate(
        {"sigma": sigma, "num": 4, "noise": noise, "distribution": distribution}
    )
    drawn = noise_around(ROWS[:1], local, shape=(1, 128, 128))[0, 0].double()
    # The kurtosis is 6 at most, so a std's standard error is sqrt((6 - 1) / 4 n).
    slack = 4 * (5 / (4 * drawn.numel())) ** 0.5
    assert drawn.std().item() / sigma == pytest.approx(1, abs=slack)
    assert abs(drawn.mean().item()) < 4 * sigma / drawn.numel() ** 0.5
    assert (drawn.abs().std() < 1e-6) == (distribution == "rademacher")


def test_copies_without_local_noise_are_shown_as_they_are() -> None:
    assert (noise_around(ROWS, Local(sigma=0.0, num=1)) == 0).all()


def test_several_equal_noises_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"num has 3\. Set local\.num to 1"):
        Local(sigma=0.0, num=3)


def test_logits_that_are_no_numbers_are_counted_as_votes_for_no_class() -> None:
    op = LocalSmooth.model_construct(
        classifier=Recorder(), local=Local(sigma=0.0, num=1), sigma=0.25, seed=0
    )
    purified = torch.ones(2, 5, 1, 8, 8)
    purified[0, 1:3] = float("nan")
    purified[1, :4] = -1.0
    batch = {
        "purified": purified,
        "image_key": ["a", "b"],
        "stream": ["select"] * 2,
        "block": [0, 0],
    }
    votes = op.open(Worker(CPU, batch=4))(batch)
    counted = CountVotes(num_classes=2).open(Worker(CPU))(votes)
    assert votes["vote"].tolist() == [[1, -1, -1, 1, 1], [0, 0, 0, 0, 1]]
    assert counted["counts"].tolist() == [[0, 3], [4, 1]]
    assert counted["invalid"].tolist() == [2, 0]


@torch.no_grad()
@pytest.mark.parametrize("num", [1, 2, 5])
@pytest.mark.parametrize("noise", ["fixed", "fresh"])
def test_early_exit_changes_no_vote_of_a_network(num: int, noise: str) -> None:
    local = Local.model_validate({"sigma": 0.5, "num": num, "noise": noise})
    copies = np.random.default_rng(0).random((4, 150, 1, 8, 8), dtype=np.float32)
    batch = {
        "purified": torch.tensor(copies),
        "image_key": ["a", "a", "a", "b"],
        "stream": ["select"] * 4,
        "block": [0, 1, 2, 0],
    }
    exits, stays = (
        LocalSmooth(
            classifier=DigitsCnn(weights=WeightsRef(untrained=3)),
            local=local,
            sigma=0.25,
            seed=0,
            early_exit=early_exit,
        ).open(Worker(CPU, batch=64))(batch)["vote"]
        for early_exit in (True, False)
    )
    assert torch.equal(exits, stays)
    assert len(stays.unique()) > 2
