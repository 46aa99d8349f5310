"""Noise of a purifier belongs to the copy: votes are the same however copies travel."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import torch
from gaussian_here import WORKER, gaussian_denoiser, knowing, noisy_copies
from tiny_unet_here import TINY, UNTRAINED

from ops.columns import Worker
from ops.purify.edm import Edm
from ops.purify.purify import Purify
from ops.purify.purifying import RandomPurifier
from ops.purify.reverse_chain import ReverseChain
from ops.purify.scheduler_settings import ddpm_scheduler
from ops.schedules import Schedule
from ops.vote.local_noise import Local
from ops.vote.local_smooth import LocalSmooth

COPIES, SAMPLES = 7, 3
SCHEDULE = Schedule(kind="cosine", num_timesteps=100)
# Each row differs from the next in one part of its identity.
KEYS = ["a", "a", "b", "b"]
STREAMS = ["estimate", "estimate", "estimate", "select"]
BLOCKS = [0, 4, 4, 4]
ROWS = [0, 1, 2, 3]
NOISY = noisy_copies(4 * COPIES).unflatten(0, (4, COPIES))
NETWORK = ReverseChain(
    weights=UNTRAINED,
    unet=TINY,
    scheduler=ddpm_scheduler(SCHEDULE, "epsilon"),
    steps=3,
    samples=SAMPLES,
)
KNOWN = knowing(
    ReverseChain, gaussian_denoiser(), steps=3, samples=SAMPLES, schedule=SCHEDULE
)
Images = torch.Tensor


class Linear:
    """Three classes, whose scores are weighted sums of the pixels."""

    def open(self, worker: Worker) -> Callable[[Images], Images]:
        weight = torch.linspace(-1, 1, 48).sin().view(16, 3)
        weight -= weight.mean(dim=0)
        return lambda image: image.flatten(1) @ weight


def purified(
    purifier: RandomPurifier,
    rows: list[int],
    *,
    batch: int = 100,
    seed: int = 0,
    noisy: Images = NOISY,
) -> Images:
    op = Purify.model_construct(purifier=purifier, sigma=0.5, seed=seed)
    columns = columns_of(rows) | {"noisy": noisy[rows]}
    return op.open(replace(WORKER, batch=batch))(columns)["purified"]


def columns_of(rows: list[int]) -> dict[str, Any]:
    return {
        "image_key": [KEYS[row] for row in rows],
        "stream": [STREAMS[row] for row in rows],
        "block": [BLOCKS[row] for row in rows],
    }


def votes(copies: Images, rows: list[int]) -> Images:
    op = LocalSmooth.model_construct(
        classifier=Linear(),
        local=Local(sigma=0.0, num=1),
        sigma=0.5,
        seed=0,
        samples=SAMPLES,
    )
    return op.open(WORKER)({**columns_of(rows), "purified": copies})["vote"]


@pytest.mark.parametrize("purifier", [NETWORK, KNOWN], ids=["network", "known"])
@pytest.mark.parametrize("batch", [1, 3, 10])
@torch.no_grad()
def test_any_batch_gives_the_same_samples_and_votes(
    purifier: ReverseChain, batch: int
) -> None:
    whole = purified(purifier, ROWS)
    parted = purified(purifier, ROWS, batch=batch)

    assert whole.shape == (4, COPIES * SAMPLES, 1, 4, 4)
    torch.testing.assert_close(parted, whole, atol=1e-5, rtol=0)
    cast = votes(whole, ROWS)
    assert cast.shape == (4, COPIES)
    assert cast.unique().numel() > 1
    assert torch.equal(votes(parted, ROWS), cast)


@pytest.mark.parametrize("purifier", [NETWORK, KNOWN], ids=["network", "known"])
@pytest.mark.parametrize("batch", [3, 100])
@torch.no_grad()
def test_rows_give_the_same_samples_and_votes_in_any_order_or_alone(
    purifier: ReverseChain, batch: int
) -> None:
    whole = purified(purifier, ROWS, batch=batch)
    cast, order = votes(whole, ROWS), [2, 0, 3, 1]

    swapped = purified(purifier, order, batch=batch)
    torch.testing.assert_close(swapped, whole[order], atol=1e-5, rtol=0)
    assert torch.equal(votes(swapped, order), cast[order])
    for row in ROWS:
        alone = purified(purifier, [row], batch=batch)
        torch.testing.assert_close(alone, whole[[row]], atol=1e-5, rtol=0)
        assert torch.equal(votes(alone, [row]), cast[[row]])


def test_blocks_and_seeds_share_no_noise() -> None:
    """The same copies everywhere, so that only the noise differs."""
    same = NOISY[:1].expand(4, -1, -1, -1, -1)

    rows = purified(KNOWN, ROWS, noisy=same)
    again = purified(KNOWN, ROWS, noisy=same)
    reseeded = purified(KNOWN, ROWS, noisy=same, seed=1)

    assert torch.equal(rows, again)
    for first, second in combinations(ROWS, 2):
        assert (rows[first] != rows[second]).float().mean() > 0.9
    assert (rows != reseeded).float().mean() > 0.9


def test_copies_of_a_block_share_no_noise() -> None:
    same = NOISY[:, :1].expand(-1, COPIES, -1, -1, -1)

    samples = purified(KNOWN, [0], noisy=same)[0].flatten(1)

    assert samples.unique(dim=0).shape == samples.shape


def test_a_purifier_without_noise_has_one_sample_of_each_copy() -> None:
    edm = knowing(Edm, gaussian_denoiser(), clip=False)

    ours = purified(edm, ROWS, batch=4)

    expected = edm.open(WORKER, 0.5)(NOISY.flatten(0, 1)).view_as(NOISY)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)
