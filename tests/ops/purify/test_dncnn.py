from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from infra.weights.safetensors_file import write
from ops.columns import Worker
from ops.initialise import initialise
from ops.purify.dncnn import Dncnn, ResidualDenoiser
from ops.purify.purifier import Purifier
from ops.weights import WeightsRef

Workers = Callable[..., Worker]
SIZES: dict[str, Any] = {"depth": 4, "width": 8, "channels": 1}


def noisy_copies() -> torch.Tensor:
    copies = np.random.default_rng(1).normal(0.5, 0.5, (4, 1, 8, 8))
    return torch.tensor(copies, dtype=torch.float32)


def stored(path: Path, **said: Any) -> WeightsRef:
    network = initialise(ResidualDenoiser(4, 8, 1), 0)
    write(path / "net.safetensors", network.state_dict(), said)
    return WeightsRef(path=str(path / "net.safetensors"))


def test_a_recipe_finds_it_by_its_kind() -> None:
    found = TypeAdapter(Purifier).validate_python(
        {"kind": "dncnn", "weights": {"untrained": 0}}
    )

    assert found == Dncnn(weights=WeightsRef(untrained=0))
    assert (found.depth, found.width, found.channels) == (17, 64, 3)


def test_the_network_has_as_many_convolutions_as_its_depth() -> None:
    network = Dncnn(weights=WeightsRef(untrained=0)).network()

    layers = [type(layer).__name__ for layer in network.modules()]
    assert layers.count("Conv2d") == 17
    assert layers.count("BatchNorm2d") == 15
    assert layers.count("ReLU") == 16


def test_tensors_are_named_as_in_the_public_files() -> None:
    names = ResidualDenoiser(3, 8, 1).state_dict().keys()

    assert [name for name in names if "weight" in name or "bias" in name] == [
        "dncnn.0.weight",
        "dncnn.0.bias",
        "dncnn.2.weight",
        "dncnn.3.weight",
        "dncnn.3.bias",
        "dncnn.5.weight",
    ]


@torch.no_grad()
def test_norms_add_to_a_variance_what_those_of_the_public_files_do() -> None:
    norm = ResidualDenoiser(3, 1, 1).eval().dncnn[3]
    norm.running_var.zero_()

    assert norm(torch.ones(1, 1, 1, 1)).item() == pytest.approx(1e-4**-0.5)


@torch.no_grad()
def test_what_the_convolutions_find_is_taken_off_and_not_clipped(
    worker: Workers, tmp_path: Path
) -> None:
    purify = Dncnn(weights=stored(tmp_path), **SIZES).open(worker(), 0.5)
    noisy = noisy_copies()

    network = initialise(ResidualDenoiser(4, 8, 1), 0).eval()
    expected = noisy - network.dncnn(noisy)
    torch.testing.assert_close(purify(noisy), expected)
    assert expected.min() < 0.0
    assert expected.max() > 1.0


@torch.no_grad()
def test_convolutions_that_find_nothing_leave_the_copies() -> None:
    network = initialise(ResidualDenoiser(4, 8, 1), 0, gain=0.0).eval()

    assert torch.equal(network(noisy_copies()), noisy_copies())


@torch.no_grad()
def test_a_copy_is_purified_alike_in_any_company(worker: Workers) -> None:
    purify = Dncnn(weights=WeightsRef(untrained=0), **SIZES).open(worker(), 0.5)
    noisy = noisy_copies()

    alone = torch.cat([purify(copy) for copy in noisy.split(1)])

    torch.testing.assert_close(purify(noisy), alone)


@torch.no_grad()
def test_bfloat16_returns_float32_near_it(worker: Workers) -> None:
    exact, rough = (
        Dncnn(weights=WeightsRef(untrained=0), **SIZES).open(worker(precision), 0.5)(
            noisy_copies()
        )
        for precision in (torch.float32, torch.bfloat16)
    )

    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"arch": "cifar_resnet"}, "of arch 'cifar_resnet'"),
        ({"arch": "dncnn", "depth": 17}, "Set purifier.depth to 17"),
        ({"arch": "dncnn", "width": 64}, "Set purifier.width to 64"),
        ({"arch": "dncnn", "channels": 3}, "Set purifier.channels to 3"),
        ({"sigma_train": 0.25}, r"sigma_train 0\.25, the run has sigma 0\.5"),
    ],
)
def test_weights_that_say_they_are_others_are_refused(
    worker: Workers, tmp_path: Path, said: dict[str, Any], message: str
) -> None:
    purifier = Dncnn(weights=stored(tmp_path, **said), **SIZES)

    with pytest.raises(ValueError, match=message):
        purifier.open(worker(), 0.5)


@pytest.mark.parametrize(
    "said",
    [
        {"arch": "dncnn", **SIZES, "sigma_train": 0.5},
        {"sigma_train": float(np.float32(0.1)) * 5},  # rounded, as files have it
        {"arch": "cifar_dncnn"},
    ],
)
def test_weights_that_say_what_the_recipe_says_are_taken(
    worker: Workers, tmp_path: Path, said: dict[str, Any]
) -> None:
    purifier = Dncnn(weights=stored(tmp_path, **said), **SIZES)

    assert purifier.open(worker(), 0.5)(noisy_copies()).shape == (4, 1, 8, 8)


def test_weights_that_do_not_fit_are_refused(worker: Workers, tmp_path: Path) -> None:
    wider = Dncnn(weights=stored(tmp_path), depth=4, width=16, channels=1)

    with pytest.raises(ValueError, match=r"'dncnn\.0\.weight' of shape \(8, 1, 3, 3\)"):
        wider.open(worker(), 0.5)
