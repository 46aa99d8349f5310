from typing import Any

import numpy as np
import pytest
import torch

from ops.columns import Worker
from ops.noise import gaussian, noise_key
from ops.vote.add_noise import AddNoise
from ops.vote.streams import num_copies

SIGMA, SEED = 0.25, 11
IMAGES = np.random.default_rng(0).random((3, 3, 16, 16), dtype=np.float32)


def add_noise(rows: list[tuple[int, str, int]], **settings: Any) -> torch.Tensor:
    """Make the copies of rows ``(image, stream, block)``."""
    images, streams, blocks = zip(*rows, strict=True)
    batch = {
        "image": IMAGES[list(images)],
        "image_key": [f"image_{index}" for index in images],
        "stream": np.array(streams),
        "block": np.array(blocks),
    }
    op = AddNoise(**({"sigma": SIGMA, "seed": SEED, "block": 50} | settings))
    written = op.open(Worker(torch.device("cpu")))(batch)
    assert tuple(written) == op.writes
    return written["noisy"]


def test_noisy_copies_are_the_image_plus_sigma_times_the_blocks_noise() -> None:
    noisy = add_noise([(0, "select", 0), (1, "estimate", 3)])
    assert noisy.shape == (2, 50, 3, 16, 16)
    assert noisy.dtype == torch.float32
    for row, (index, stream, block) in enumerate(
        [(0, "select", 0), (1, "estimate", 3)]
    ):
        key = noise_key(SEED, SIGMA, f"image_{index}", stream, block)
        noise = gaussian(key, 0, 50, (3, 16, 16))
        assert torch.equal(noisy[row], torch.tensor(IMAGES[index]) + SIGMA * noise)


@pytest.mark.parametrize("sigma", [0.12, 0.25, 1.0])
def test_noise_has_exactly_the_certified_std_and_nothing_is_clipped(
    sigma: float,
) -> None:
    noisy = add_noise([(0, "select", 0), (1, "estimate", 3)], sigma=sigma)
    noise = (noisy - torch.tensor(IMAGES[:2])[:, None]).double()
    slack = 4 / (2 * noise.numel()) ** 0.5  # four standard errors of a std
    assert noise.std().item() / sigma == pytest.approx(1, abs=slack)
    assert abs(noise.mean().item()) < 4 * sigma / noise.numel() ** 0.5
    assert noisy.min() < 0
    assert noisy.max() > 1


def test_clean_stream_is_one_copy_of_the_image_itself() -> None:
    noisy = add_noise([(2, "clean", 0), (0, "clean", 0)])
    assert torch.equal(noisy, torch.tensor(IMAGES[[2, 0]])[:, None])


def test_copies_of_a_row_depend_on_no_other_row() -> None:
    rows = [(0, "select", 0), (1, "select", 0), (1, "select", 1), (1, "predict", 1)]
    together = add_noise(rows)
    backwards = add_noise(rows[::-1]).flip(0)
    alone = torch.cat([add_noise([row]) for row in rows])
    assert torch.equal(together, backwards)
    assert torch.equal(together, alone)
    noise = together - torch.tensor(IMAGES[[row[0] for row in rows]])[:, None]
    assert len(noise.flatten(0, 1)[:, 0, 0, 0].unique()) == 4 * 50


def test_images_stay_as_they_were() -> None:
    before = IMAGES.copy()
    add_noise([(0, "select", 0), (1, "select", 0)])
    add_noise([(0, "clean", 0)])
    assert np.array_equal(before, IMAGES)


def test_a_block_is_one_copy_of_the_clean_stream_and_all_of_any_other() -> None:
    assert num_copies("clean", 100) == 1
    assert num_copies("select", 100) == num_copies("estimate", 100) == 100
