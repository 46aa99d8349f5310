from typing import Any

import pytest
import torch
from torch import nn

from ops.weights import Weights, WeightsRef, fit_weights


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"0.bias": None}, ["no '0.bias' of shape (2,). Check"]),
        (
            {"0.bias": None, "1.weight": None, "1.bias": None},
            ["no '0.bias' of shape (2,) (and 2 more). Check"],
        ),
        (
            {"0.bias": torch.zeros(3), "1.bias": torch.zeros(5)},
            ["'0.bias' of shape (3,), not (2,) (and 1 more). Check"],
        ),
        ({"more": torch.zeros(1)}, ["'more', which the network has not. Check"]),
        (
            {"0.weight": None, "1.bias": torch.zeros(5), "more": torch.zeros(1)},
            [
                "net.pt has no '0.weight' of shape (2, 3), and has '1.bias' of shape "
                "(5,), not (4,), and has 'more', which the network has not. Check",
            ],
        ),
    ],
)
def test_first_key_of_each_sort_that_does_not_fit_is_named(
    change: dict[str, Any], told: list[str]
) -> None:
    state = {
        k: t for k, t in (network().state_dict() | change).items() if t is not None
    }
    with pytest.raises(ValueError, match=r"^Sequential needs weights that") as refused:
        fit_weights(network(), Weights("net.pt", state))
    assert [words for words in told if words not in str(refused.value)] == []


def test_weights_that_fit_are_all_put_in() -> None:
    state = {key: t + 1 for key, t in network().state_dict().items()}
    filled = fit_weights(network(), Weights("net.pt", state))
    assert all(torch.equal(t, state[key]) for key, t in filled.state_dict().items())


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "net.pt", "licence": "MIT", "sha256": "12"},
        {"hub": "timm/resnet50.tv_in1k"},
        {"hub": "google/ddpm-cifar10-32", "revision": "main", "licence": "Apache-2.0"},
        {"recipe": "train_digits_ddpm"},
        {"recipe": "train_digits_gaussian", "settings": ("seed=3",)},
        {"untrained": 0},
    ],
)
def test_one_source_is_a_reference(fields: dict[str, Any]) -> None:
    assert WeightsRef(**fields).model_dump(exclude_defaults=True) == fields


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "it has none"),
        ({"licence": "MIT"}, "it has none"),
        ({"hub": "a/b", "path": "c"}, "{'path': 'c', 'hub': 'a/b'}"),
        ({"path": "c", "revision": "main"}, "a hub for its revision 'main'"),
        ({"untrained": 0, "sha256": "12"}, "a file for its sha256"),
        ({"path": "c", "settings": ["seed=3"]}, r"recipe for its settings \['seed=3'"),
        ({"recipe": "c", "settings": ["seed"]}, "form field=value; it has 'seed'"),
        ({"recipe": "c", "settings": ["=3"]}, "form field=value; it has '=3'"),
    ],
)
def test_other_references_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WeightsRef(**fields)
