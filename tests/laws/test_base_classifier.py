"""The classifier that is certified is one function, however its votes are drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Batch, Worker
from ops.noise import gaussian, noise_key
from ops.purify.nothing import Nothing
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.purifier import Purifier
from ops.purify.purify import Purify
from ops.schedules import Schedule
from ops.vote.add_noise import AddNoise
from ops.vote.count_votes import CountVotes
from ops.vote.local_noise import Local
from ops.vote.local_smooth import LocalSmooth
from ops.weights import WeightsRef

SIGMA, SEED, BLOCK = 0.5, 5, 30
CLASSIFIER = DigitsCnn(weights=WeightsRef(untrained=3))
UNET = OneShotDdpm(
    weights=WeightsRef(untrained=4),
    schedule=Schedule(kind="cosine", num_timesteps=1000),
    prediction="epsilon",
    unet={
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "layers_per_block": 1,
        "norm_num_groups": 4,
    },
)
IMAGES = np.random.default_rng(0).random((4, 1, 8, 8), dtype=np.float32)
PLAIN = Local(sigma=0.0, num=1)
FIXED = Local(sigma=0.5, num=3)
FRESH = Local(sigma=0.5, num=3, noise="fresh")
ROWS = [(image, stream, 0) for image in range(4) for stream in ("select", "estimate")]
Row = tuple[int, str, int]


def worker(batch: int = 32) -> Worker:
    return Worker(torch.device("cpu"), batch=batch)


def batch_of(rows: Sequence[Row]) -> dict[str, Any]:
    images, streams, blocks = zip(*rows, strict=True)
    return {
        "image": IMAGES[list(images)],
        "image_key": [f"digits_{index:04d}" for index in images],
        "stream": list(streams),
        "block": list(blocks),
    }


class Votes:
    """The four ops of one run, opened once."""

    def __init__(
        self, local: Local, purifier: Purifier = UNET, batch: int = 32, seed: int = SEED
    ) -> None:
        ops = (
            AddNoise(sigma=SIGMA, seed=seed, block=BLOCK),
            Purify(purifier=purifier, sigma=SIGMA, seed=0),
            LocalSmooth(classifier=CLASSIFIER, local=local, sigma=SIGMA, seed=seed),
            CountVotes(num_classes=10),
        )
        self._functions = [op.open(worker(batch)) for op in ops]

    def __call__(self, rows: Sequence[Row]) -> Batch:
        columns = batch_of(rows)
        with torch.inference_mode():
            for function in self._functions:
                columns |= function(columns)
        return columns


def noisy_of(row: Row) -> torch.Tensor:
    image, stream, block = row
    key = noise_key(SEED, SIGMA, f"digits_{image:04d}", stream, block)
    noise = gaussian(key, 0, BLOCK, (1, 8, 8))
    return torch.tensor(IMAGES[image]) + SIGMA * noise


@torch.inference_mode()
def test_without_local_noise_votes_are_the_argmax_of_denoised_copies() -> None:
    """Denoised smoothing, bit for bit, whatever ``num_local = 1`` goes through."""
    counted = Votes(PLAIN, batch=BLOCK)(ROWS)
    purify, classify = UNET.open(worker(), SIGMA), CLASSIFIER.open(worker())
    for row, vote in zip(ROWS, counted["vote"], strict=True):
        assert torch.equal(vote, classify(purify(noisy_of(row))).argmax(dim=1))
    assert len(counted["vote"].unique()) > 1


@torch.inference_mode()
def test_with_nothing_besides_votes_are_the_argmax_of_noisy_copies() -> None:
    """The base classifier of plain Gaussian smoothing."""
    counted = Votes(PLAIN, Nothing(), batch=BLOCK)(ROWS)
    classify = CLASSIFIER.open(worker())
    for row, vote, counts in zip(ROWS, counted["vote"], counted["counts"], strict=True):
        expected = classify(noisy_of(row)).argmax(dim=1)
        assert torch.equal(vote, expected)
        assert torch.equal(counts, expected.bincount(minlength=10))
    assert len(counted["vote"].unique()) > 1


@torch.inference_mode()
def test_image_without_noise_goes_the_same_way_once() -> None:
    counted = Votes(PLAIN, Nothing())([(image, "clean", 0) for image in range(4)])
    expected = CLASSIFIER.open(worker())(torch.tensor(IMAGES)).argmax(dim=1)
    assert torch.equal(counted["vote"], expected[:, None])
    assert (counted["counts"].sum(dim=1) == 1).all()


@pytest.mark.parametrize(
    "local", [PLAIN, FIXED, FRESH], ids=["plain", "fixed", "fresh"]
)
def test_votes_are_the_same_bits_in_any_order_and_company(local: Local) -> None:
    run = Votes(local)
    together = run(ROWS)["vote"]
    order = np.random.default_rng(1).permutation(len(ROWS))
    shuffled = run([ROWS[index] for index in order])["vote"]
    alone = torch.cat([run([row])["vote"] for row in ROWS])
    grouped = torch.cat([run(ROWS[:3])["vote"], run(ROWS[3:])["vote"]])
    reopened = Votes(local)(ROWS)["vote"]

    assert torch.equal(shuffled, together[torch.tensor(order)])
    assert torch.equal(alone, together)
    assert torch.equal(grouped, together)
    assert torch.equal(reopened, together)
    assert len(together.unique()) > 1


def test_hardly_a_vote_changes_with_the_shape_of_a_network_call() -> None:
    """Another shape may take other kernels, whose last bits decide near ties."""
    rows = [(image, "estimate", block) for image in range(4) for block in range(13)]
    votes = [Votes(FIXED, batch=batch)(rows)["vote"] for batch in (100, 37)]
    assert votes[0].numel() == 1560
    assert (votes[0] != votes[1]).double().mean() < 1e-3
    assert votes[0].flatten().bincount().max() < 0.9 * 1560


def test_another_seed_gives_other_votes() -> None:
    assert not torch.equal(
        Votes(PLAIN)(ROWS)["vote"], Votes(PLAIN, seed=6)(ROWS)["vote"]
    )


@torch.inference_mode()
def test_votes_of_fewer_local_noises_follow_from_the_first_of_more() -> None:
    purified = torch.tensor(np.random.default_rng(2).random((1, 90, 1, 8, 8)))
    batch = {**batch_of(ROWS[:1]), "purified": purified.float()}
    spy, classify = _Spy(), CLASSIFIER.open(worker(90))
    more = Local(sigma=0.5, num=5)
    spying = LocalSmooth.model_construct(
        classifier=spy, local=more, sigma=SIGMA, seed=SEED, early_exit=False
    )
    spying.open(worker(90))(batch)
    logits = torch.stack([classify(image) for image in spy.images])
    sums = logits.double().softmax(dim=2).cumsum(dim=0)

    for num in (1, 3, 5):
        local = Local(sigma=0.5, num=num)
        op = LocalSmooth(classifier=CLASSIFIER, local=local, sigma=SIGMA, seed=SEED)
        votes = op.open(worker(90))(batch)["vote"][0]
        assert torch.equal(votes, sums[num - 1].argmax(dim=1))


class _Spy:
    """A classifier of no opinion that keeps the images it is shown."""

    def __init__(self) -> None:
        self.images: list[torch.Tensor] = []

    def open(self, worker: Worker) -> Any:
        def classify(image: torch.Tensor) -> torch.Tensor:
            self.images.append(image.clone())
            return image.new_zeros(len(image), 10)

        return classify


def test_votes_of_two_half_runs_add_up_to_those_of_the_whole() -> None:
    rows = [(0, "estimate", block) for block in range(6)]
    run = Votes(FIXED)
    whole, first, second = (run(part) for part in (rows, rows[:3], rows[3:]))
    for column in ("counts", "invalid"):
        halves = first[column].sum(dim=0) + second[column].sum(dim=0)
        assert torch.equal(whole[column].sum(dim=0), halves)
    assert whole["counts"].sum() + whole["invalid"].sum() == 6 * BLOCK
    assert not torch.equal(first["counts"], second["counts"])
