"""The CPU's laws on an accelerator, where there is one."""

import pytest
import torch

from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.noise import gaussian, noise_key, random_words
from ops.vote.add_noise import AddNoise
from ops.vote.local_noise import Local
from ops.vote.local_smooth import LocalSmooth
from ops.weights import WeightsRef

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="this machine has no accelerator"
    ),
]

KEY = noise_key(3, 0.5, "digits_0007", "estimate", 11)


def test_words_have_the_same_bits() -> None:
    assert torch.equal(
        random_words(KEY, 8, 4096, "cuda").cpu(), random_words(KEY, 8, 4096)
    )


def test_normals_differ_in_last_bits_only() -> None:
    here = gaussian(KEY, 0, 10, (3, 32, 32))
    there = gaussian(KEY, 0, 10, (3, 32, 32), "cuda").cpu()

    torch.testing.assert_close(there, here, rtol=3e-7, atol=3e-7)


def test_votes_agree_but_for_near_ties() -> None:
    votes = [_votes(torch.device(name)) for name in ("cpu", "cuda")]

    assert (votes[0] != votes[1]).double().mean() < 0.01


def _votes(device: torch.device) -> torch.Tensor:
    worker = Worker(device)
    add_noise = AddNoise(sigma=0.5, seed=0).open(worker)
    smooth = LocalSmooth(
        classifier=DigitsCnn(weights=WeightsRef(untrained=0)),
        local=Local(sigma=0.25, num=5),
        sigma=0.5,
        seed=0,
    ).open(worker)
    rows = {
        "image": torch.full((5, 1, 8, 8), 0.5),
        "image_key": [f"digits_{i:04d}" for i in range(5)],
        "stream": ["estimate"] * 5,
        "block": list(range(5)),
    }
    with torch.inference_mode():
        noisy = add_noise(rows)["noisy"]
        return smooth({**rows, "purified": noisy})["vote"].cpu()
