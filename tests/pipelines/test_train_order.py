import numpy as np

from pipelines.train_order import positions_of

NUM_IMAGES = 10


def test_every_pass_has_every_image_once_however_it_is_cut() -> None:
    positions = positions_of(0, NUM_IMAGES, first=0, num=20)

    assert sorted(positions[:NUM_IMAGES]) == list(range(NUM_IMAGES))
    assert sorted(positions[NUM_IMAGES:]) == list(range(NUM_IMAGES))
    cut = [positions_of(0, NUM_IMAGES, first=at, num=4) for at in range(0, 20, 4)]
    assert np.array_equal(np.concatenate(cut), positions)


def test_passes_and_seeds_have_orders_of_their_own() -> None:
    positions = positions_of(0, NUM_IMAGES, first=0, num=20).tolist()

    assert positions[:NUM_IMAGES] != positions[NUM_IMAGES:]
    assert positions != positions_of(1, NUM_IMAGES, first=0, num=20).tolist()


def test_a_step_may_take_more_images_than_there_are() -> None:
    positions = positions_of(0, 3, first=0, num=9)

    assert np.bincount(positions).tolist() == [3, 3, 3]
