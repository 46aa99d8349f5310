import random

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from ops.augment.augment import Augment
from ops.augment.nothing import Nothing
from ops.augment.timm import Timm

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
WORDS = np.array([-5, 6, 7, 8])


@pytest.mark.parametrize(
    "augment",
    [
        Timm(size=16),
        Timm(size=16, policy="rand-m9-mstd0.5-inc1", interpolation="random"),
        Timm(size=16, jitter=0.4),
    ],
)
def test_an_image_follows_from_its_words_alone(augment: Timm) -> None:
    made = augment.open()(IMAGE, WORDS)
    random.random()
    np.random.random()  # noqa: NPY002 - what the augmentation must not depend on
    torch.rand(1)

    assert made.shape == (16, 16, 3)
    assert made.dtype == np.uint8
    assert np.array_equal(augment.open()(IMAGE, WORDS), made)
    assert not np.array_equal(augment.open()(IMAGE, WORDS + 1), made)


def test_global_generators_go_on_as_if_nothing_had_happened() -> None:
    change = Timm(size=16, policy="rand-m9-mstd0.5-inc1").open()
    random.seed(1)
    torch_state = torch.get_rng_state()
    expected = random.Random(1).random()

    change(IMAGE, WORDS)

    assert random.random() == expected
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_grey_images_stay_grey() -> None:
    assert Timm(size=8).open()(IMAGE[..., :1], WORDS).shape == (8, 8, 1)


def test_a_policy_that_timm_does_not_know_is_refused() -> None:
    with pytest.raises(ValidationError, match="policy"):
        Timm(size=16, policy="bold")


def test_an_augmentation_is_found_by_its_kind() -> None:
    found = TypeAdapter(Augment).validate_python({"kind": "nothing"})

    assert found == Nothing()
    assert np.array_equal(found.open()(IMAGE, WORDS), IMAGE)
