import mpmath
import numpy as np
import pytest
import torch
from scipy.special import ndtr
from scipy.stats import chisquare

from ops.columns import Worker
from ops.lattice import STEPS, lattice, on_lattice, thresholds_of
from ops.noise import noise_key
from ops.vote.add_noise import AddNoise

KEY = noise_key(7, 0.25, "image_0", "estimate", 0)
SHAPE = (3, 20, 20)
IMAGE = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.float32) / 255


@pytest.mark.parametrize("sigma", [0.06, 0.25, 1.0])
def test_each_integer_has_the_chance_of_its_cell_to_sixty_bits(sigma: float) -> None:
    thresholds, lowest = thresholds_of(sigma)
    with mpmath.workdps(60):
        for k in (0, 1, -1, 7, round(300 * sigma), round(900 * sigma)):
            above, below = ((k + s) / (255 * mpmath.mpf(sigma)) for s in (0.5, -0.5))
            chance = mpmath.ncdf(above) - mpmath.ncdf(below)
            place = k - lowest
            cell = int(thresholds[place]) - int(thresholds[place - 1])
            assert abs(mpmath.mpf(cell) / 2**60 - chance) <= 2.0**-60


def test_the_law_is_symmetric_and_leaves_no_room_past_its_ends() -> None:
    thresholds, lowest = thresholds_of(0.25)

    assert len(thresholds) == -2 * lowest
    assert (thresholds + thresholds[::-1] == 1 << 60).all()
    assert (np.diff(thresholds) >= 0).all()
    assert thresholds[0] == 0


@pytest.mark.parametrize("sigma", [0.06, 0.25, 1.0])
def test_draws_have_the_law_of_rounded_gaussian_noise(sigma: float) -> None:
    drawn = lattice(KEY, 400, SHAPE, sigma).flatten().numpy()
    scale = 255 * sigma
    edges = np.unique(np.floor(scale * np.linspace(-3, 3, 40))) + 0.5
    expected = np.diff(ndtr(np.concatenate([[-np.inf], edges / scale, [np.inf]])))

    counted = np.bincount(np.searchsorted(edges, drawn), minlength=len(expected))

    assert chisquare(counted, expected * len(drawn)).pvalue > 1e-4


def test_every_draw_is_where_a_plain_search_puts_it() -> None:
    from ops.lattice import _places, _tables
    from ops.noise import random_words

    thresholds, guide, _ = _tables(1.0, "cpu")
    uniform = (random_words(KEY, 0, 1 << 20) >> 4) & ((1 << 60) - 1)
    tails = torch.tensor([0, 1, 2**20, 2**60 - 1, 2**60 - 2**20])
    uniform = torch.cat([uniform, tails, thresholds[:-1], thresholds[:-1] - 1])
    uniform = uniform.clamp(0, 2**60 - 1)

    found = _places(uniform, thresholds, guide)

    plain = np.searchsorted(thresholds[:-1].numpy(), uniform.numpy(), side="right")
    assert (found.numpy() == plain).all()


def test_parts_of_a_block_are_the_same_whatever_is_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = lattice(KEY, 50, SHAPE, 0.5)
    monkeypatch.setattr("ops.lattice._WORDS_AT_ONCE", 3000)

    assert torch.equal(lattice(KEY, 50, SHAPE, 0.5), whole)
    assert torch.equal(lattice(KEY, 7, SHAPE, 0.5), whole[:7])


def test_noisy_copies_lie_on_the_lattice() -> None:
    op = AddNoise(sigma=0.25, seed=7, block=20, noise="lattice")
    batch = {
        "image": IMAGE[None],
        "image_key": ["image_0"],
        "stream": ["estimate"],
        "block": [0],
    }

    noisy = op.open(Worker(torch.device("cpu")))(batch)["noisy"][0]

    steps = noisy.double() * STEPS
    assert (steps - steps.round()).abs().max() < 1e-3
    added = (steps - torch.tensor(IMAGE * 255).round()).round().to(torch.int64)
    assert torch.equal(added, lattice(KEY, 20, SHAPE, 0.25))


def test_pixels_between_the_steps_are_refused() -> None:
    image = torch.tensor(IMAGE)
    assert on_lattice(image, "image_0").max() <= 255
    image[0, 3, 3] += 0.2 / 255

    with pytest.raises(ValueError, match=r"image 'image_0' has one that is 0\.2 steps"):
        on_lattice(image, "image_0")
