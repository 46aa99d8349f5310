import numpy as np
import pytest

from pipelines.train_order import Order

NUM_IMAGES = 10


def taken(num: int, seed: int = 0, *, num_images: int = NUM_IMAGES) -> list[int]:
    return Order(seed, (num_images, 0), None).positions(np.arange(num)).tolist()


def test_every_pass_has_every_image_once_however_it_is_cut() -> None:
    positions = taken(20)

    assert sorted(positions[:NUM_IMAGES]) == list(range(NUM_IMAGES))
    assert sorted(positions[NUM_IMAGES:]) == list(range(NUM_IMAGES))
    order = Order(0, (NUM_IMAGES, 0), None)
    cut = [order.positions(np.arange(at, at + 4)) for at in range(0, 20, 4)]
    assert np.concatenate(cut).tolist() == positions


def test_passes_and_seeds_have_orders_of_their_own() -> None:
    positions = taken(20)

    assert positions[:NUM_IMAGES] != positions[NUM_IMAGES:]
    assert positions != taken(20, seed=1)


def test_a_step_may_take_more_images_than_there_are() -> None:
    assert np.bincount(taken(9, num_images=3)).tolist() == [3, 3, 3]


def test_without_a_share_both_sets_are_one() -> None:
    mixed = Order(0, (4, 6), None).positions(np.arange(20)).tolist()

    assert mixed == taken(20)


@pytest.mark.parametrize(("share", "extra_of_twelve"), [(0.5, 6), (0.75, 9), (0.25, 3)])
def test_a_share_of_every_stretch_is_extra_in_passes_of_its_own(
    share: float, extra_of_twelve: int
) -> None:
    order = Order(0, (3, 6), share)

    positions = order.positions(np.arange(144))

    is_extra = positions >= 3
    counts = is_extra.reshape(-1, 12).sum(axis=1)
    assert set(counts.tolist()) == {extra_of_twelve}
    own, extra = positions[~is_extra], positions[is_extra]
    assert sorted(own[:3]) == [0, 1, 2]
    assert sorted(own[3:6]) == [0, 1, 2]
    for first in range(0, len(extra) - 6, 6):
        assert sorted(extra[first : first + 6]) == [3, 4, 5, 6, 7, 8]
    cut = [order.positions(np.arange(at, at + 9)) for at in range(0, 144, 9)]
    assert np.array_equal(np.concatenate(cut), positions)
