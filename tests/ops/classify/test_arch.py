import re
from typing import Any

import pytest

from ops.classify.arch import require_arch
from ops.weights import Weights

RESNET_110 = {"kind": "cifar_resnet", "depth": 110, "shortcut": "B"}
RESNET_20_A = {"kind": "cifar_resnet", "depth": 20, "shortcut": "A"}
RESNET_50 = {"kind": "timm", "name": "resnet50.tv_in1k"}


def require(config: dict[str, Any], here: dict[str, Any]) -> None:
    require_arch(Weights("net.pth", {}, config), here, ["resnet50", "resnet18"])


@pytest.mark.parametrize(
    ("config", "here"),
    [
        ({"arch": "cifar_resnet110"}, RESNET_110),
        ({"arch": "cifar_resnet110"}, {**RESNET_110, "shortcut": "A"}),
        ({"arch": "imagenet32_resnet110"}, RESNET_110),
        ({"arch": "cifar_resnet20_shortcutA"}, RESNET_20_A),
        ({"arch": "cifar_resnet", "depth": 110, "shortcut": "B"}, RESNET_110),
        ({"arch": "resnet50"}, RESNET_50),
        ({"arch": "resnet50"}, {"kind": "timm", "name": "resnet50.a1_in1k"}),
        ({"arch": "digits_cnn", "num_classes": 10}, {"kind": "digits_cnn"}),
    ],
)  # fmt: skip
def test_file_is_taken_by_the_network_it_names_and_by_no_other_kind(
    config: dict[str, Any], here: dict[str, Any]
) -> None:
    require(config, here)
    other = {"kind": "timm" if here["kind"] == "digits_cnn" else "digits_cnn"}
    with pytest.raises(ValueError, match=re.escape(f"needs kind: {here['kind']}")):
        require(config, other)


@pytest.mark.parametrize("config", [{}, {"arch": "new"}, {"arch": ["resnet18"]}])
@pytest.mark.parametrize("here", [RESNET_110, RESNET_50, {"kind": "digits_cnn"}])
def test_file_that_names_nothing_known_here_has_no_say(
    config: dict[str, Any], here: dict[str, Any]
) -> None:
    require(config, here)
    # The same file with a name that is known is heard, and refused by two of three.
    named = config | {"arch": "cifar_resnet110"}
    if here != RESNET_110:
        with pytest.raises(ValueError, match="cifar_resnet110"):
            require(named, here)


@pytest.mark.parametrize(
    ("config", "here", "words"),
    [
        (
            {"arch": "cifar_resnet110"},
            {**RESNET_110, "depth": 20},
            ["depth: 110", "recipe has kind: cifar_resnet, depth: 20.", "shortcut: B"],
        ),
        (
            {"arch": "cifar_resnet110"},
            RESNET_50,
            ["kind: cifar_resnet, depth: 110", "the recipe has kind: timm."],
        ),
        (
            {"arch": "cifar_resnet20_shortcutA"},
            {**RESNET_110, "depth": 20},
            ["shortcut: A", "shortcut: B"],
        ),
        (
            {"arch": "cifar_resnet", "depth": 56, "shortcut": "A"},
            RESNET_110,
            ["depth: 56, shortcut: A", "depth: 110, shortcut: B"],
        ),
        (
            {"arch": "resnet50"},
            RESNET_110,
            ["recipe has kind: cifar_resnet.", "{kind: timm, name: resnet50.tv_in1k,"],
        ),
        (
            {"arch": "resnet18"},
            RESNET_50,
            ["name: resnet18", "name: resnet50.tv_in1k", "name: resnet18.TAG"],
        ),
        ({"arch": "resnet50"}, {"kind": "digits_cnn"}, ["has kind: digits_cnn"]),
        ({"arch": "digits_cnn"}, RESNET_50, ["needs kind: digits_cnn"]),
    ],
)
def test_file_of_another_network_is_refused_with_what_to_set(
    config: dict[str, Any], here: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"net.pth says .* Set classifier to") as info:
        require(config, here)
    assert [word for word in words if word not in str(info.value)] == []


def test_networks_of_the_papers_are_known_without_timms_list() -> None:
    weights = Weights("net.pth", {}, {"arch": "beit_large_patch16_224"})
    with pytest.raises(ValueError, match=r"name: beit_large_patch16_224\.in22k_ft"):
        require_arch(weights, RESNET_110)
