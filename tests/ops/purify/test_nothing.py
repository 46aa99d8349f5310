from collections.abc import Callable

import torch
from pydantic import TypeAdapter

from ops.columns import Worker
from ops.purify.nothing import Nothing
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.purifier import Purifier


def test_nothing_returns_noisy_copies_bit_for_bit(
    worker: Callable[..., Worker],
) -> None:
    noisy = torch.linspace(-2, 3, 4 * 3 * 8 * 8).reshape(4, 3, 8, 8)
    assert torch.equal(Nothing().open(worker(), 0.5)(noisy), noisy)


def test_recipe_chooses_a_purifier_by_its_kind() -> None:
    choose = TypeAdapter(Purifier).validate_python
    assert choose({"kind": "nothing"}) == Nothing()
    one_shot = choose({"kind": "one_shot_ddpm", "weights": {"untrained": 0}})
    assert isinstance(one_shot, OneShotDdpm)
