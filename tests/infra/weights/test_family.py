from typing import Any

import pytest

from infra.weights.family import family_of
from infra.weights.openai_layout import shapes
from infra.weights.openai_presets import preset


def cifar_resnet(blocks: int, last: str, downsample: bool) -> dict[str, Any]:
    names = {
        f"layer{stage}.{block}.conv1.weight": (16, 16, 3, 3)
        for stage in (1, 2, 3)
        for block in range(blocks)
    }
    shortcut = {"layer2.0.downsample.0.weight": (32, 16, 1, 1)} if downsample else {}
    ends = {"conv1.weight": (16, 3, 3, 3), f"{last}.weight": (10, 64)}
    return ends | names | shortcut


def resnet(blocks: list[int], last: int, width: int = 64) -> dict[str, Any]:
    names = {
        f"layer{stage}.{block}.conv{i}.weight": (width, width, 3, 3)
        for stage, num in enumerate(blocks, 1)
        for block in range(num)
        for i in range(1, last + 1)
    }
    return {"conv1.weight": (64, 3, 7, 7), "fc.weight": (1000, 512)} | names


VIT = {
    "patch_embed.proj.weight": (1024, 3, 16, 16),
    "blocks.0.norm1.weight": (1024,),
    "blocks.1.norm1.weight": (1024,),
    "head.weight": (1000, 1024),
}
UNET = {"conv_in.weight": (8, 3, 3, 3), "time_embedding.linear_1.weight": (32, 8)}


@pytest.mark.parametrize(
    ("found", "text", "fields"),
    [
        (
            cifar_resnet(3, "linear", downsample=False),
            "CIFAR ResNet-20, shortcut A",
            {"depth": 20, "shortcut": "A", "num_classes": 10},
        ),
        (
            cifar_resnet(18, "fc", downsample=True),
            "CIFAR ResNet-110, shortcut B",
            {"depth": 110, "shortcut": "B", "num_classes": 10},
        ),
        (resnet([2, 2, 2, 2], 2), "ResNet-18 in", {"name": "resnet18.tv_in1k"}),
        (resnet([3, 4, 6, 3], 2), "ResNet-34 in", {"name": "resnet34.tv_in1k"}),
        (resnet([3, 4, 6, 3], 3), "ResNet-50 in", {"name": "resnet50.tv_in1k"}),
        (resnet([3, 8, 36, 3], 3), "ResNet-152 in", {"name": "resnet152.tv_in1k"}),
        (resnet([3, 4, 6, 3], 3, width=128), "of other widths or depth", {}),
        (resnet([3, 4, 6, 9], 3), "of other widths or depth", {}),
        (VIT, "vision transformer in timm's layout, 2 blocks of width 1024", {}),
        (VIT | {"blocks.0.attn.q_bias": (1024,)}, "BEiT in timm's layout", {}),
        ({"stem.0.weight": (8,), "stages.0.x": (8,)}, "convolutional network", {}),
        (UNET, "U-Net of diffusers, unconditional", {}),
        (UNET | {"class_embedding.weight": (9, 32)}, "diffusers, class-cond", {}),
        (shapes(preset("64x64_diffusion")), "OpenAI's layout, class-cond", {}),
        (shapes(preset("lsun_cat")), "OpenAI's layout, unconditional", {}),
    ],
)
def test_kind_of_network_is_told(
    found: dict[str, Any], text: str, fields: dict[str, Any]
) -> None:
    family = family_of(found)
    assert family is not None
    assert text in family.text
    assert fields.items() <= family.classifier.items()


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"weight": (3, 3)},
        {"conv1.weight": (16, 3, 3, 3)},
        cifar_resnet(3, "linear", downsample=True),
        cifar_resnet(3, "fc", downsample=False),
    ],
)
def test_what_is_not_known_is_not_guessed(found: dict[str, Any]) -> None:
    assert family_of(found) is None
