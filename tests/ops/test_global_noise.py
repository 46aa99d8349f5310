import random

import numpy as np
import pytest
import torch

from ops.global_noise import global_generators_at


def drawn() -> tuple[float, float, float]:
    numpys = float(np.random.random())  # noqa: NPY002 - what is tested
    return random.random(), numpys, float(torch.rand(()))


def test_all_three_generators_follow_from_the_seed() -> None:
    draws = []
    for seed in (1 << 100, 1 << 100, 3):
        with global_generators_at(seed):
            draws.append(drawn())

    assert draws[0] == draws[1]
    assert all(one != other for one, other in zip(draws[0], draws[2], strict=True))


def fail_between(seed: int) -> None:
    with global_generators_at(seed):
        drawn()
        raise ZeroDivisionError


def test_what_was_drawn_from_before_goes_on_also_after_an_error() -> None:
    with global_generators_at(5):
        undisturbed = [drawn(), drawn()]

    with global_generators_at(5):
        first = drawn()
        with pytest.raises(ZeroDivisionError):
            fail_between(6)
        second = drawn()

    assert [first, second] == undisturbed
