"""What kind of network tensors belong to, told by their names and shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.weights.openai_layout import is_openai

Shapes = Mapping[str, tuple[int, ...]]

TORCHVISION_DEPTHS: dict[tuple[str, tuple[int, ...]], int] = {
    ("basic", (2, 2, 2, 2)): 18,
    ("basic", (3, 4, 6, 3)): 34,
    ("bottleneck", (3, 4, 6, 3)): 50,
    ("bottleneck", (3, 4, 23, 3)): 101,
    ("bottleneck", (3, 8, 36, 3)): 152,
}
"""Layers of the ResNets for ImageNet, by kind of block and blocks per stage.

He et al. 2016, arXiv:1512.03385, table 1.
"""


@dataclass(frozen=True)
class Family:
    """A kind of network, as far as names and shapes tell."""

    text: str
    """In words."""

    classifier: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a recipe's classifier that follow; none for other networks."""


def family_of(shapes: Shapes) -> Family | None:
    """Return what kind of network tensors belong to.

    For a reader's eyes: nothing is loaded by it, for networks of the same shapes may
    differ in what they compute.

    Args:
        shapes: by name, without wrappers' prefixes.

    Returns:
        The kind, or ``None`` if it is none that is known here.
    """
    if is_openai(shapes):
        told = "class-conditional" if "label_emb.weight" in shapes else "unconditional"
        return Family(f"U-Net in OpenAI's layout, {told}")
    if {"conv_in.weight", "time_embedding.linear_1.weight"} <= shapes.keys():
        told = "class-conditional" if _starts(shapes, "class_emb") else "unconditional"
        return Family(f"U-Net of diffusers, {told}")
    if "patch_embed.proj.weight" in shapes:
        return _transformer(shapes)
    if "stem.0.weight" in shapes and _starts(shapes, "stages."):
        return Family("convolutional network in timm's layout", {"kind": "timm"})
    return _resnet(shapes)


def _transformer(shapes: Shapes) -> Family:
    width, _, patch, _ = shapes["patch_embed.proj.weight"]
    beit = "blocks.0.attn.q_bias" in shapes
    blocks = _count(shapes, "blocks", "norm1.weight")
    return Family(
        f"{'BEiT' if beit else 'vision transformer'} in timm's layout, {blocks} blocks "
        f"of width {width}, patches of {patch} x {patch}",
        {"kind": "timm", **_classes(shapes, "head.weight")},
    )


def _resnet(shapes: Shapes) -> Family | None:
    first = shapes.get("conv1.weight", ())
    blocks = [_count(shapes, f"layer{stage}", "conv1.weight") for stage in range(1, 5)]
    if first == (16, 3, 3, 3) and all(blocks[:3]) and not blocks[3]:
        return _cifar_resnet(shapes, blocks[0])
    if first == (64, 3, 7, 7) and all(blocks):
        return _torchvision_resnet(shapes, tuple(blocks))
    return None


def _cifar_resnet(shapes: Shapes, blocks: int) -> Family | None:
    linear, plain = "linear.weight" in shapes, "fc.weight" in shapes
    padded = not _starts(shapes, "layer2.0.downsample")
    if (linear, padded) not in {(True, True), (False, False)} or linear == plain:
        return None
    depth, shortcut = 6 * blocks + 2, "A" if linear else "B"
    classes = _classes(shapes, "linear.weight" if linear else "fc.weight")
    return Family(
        f"CIFAR ResNet-{depth}, shortcut {shortcut}",
        {"kind": "cifar_resnet", "depth": depth, "shortcut": shortcut, **classes},
    )


def _torchvision_resnet(shapes: Shapes, blocks: tuple[int, ...]) -> Family:
    kind = "bottleneck" if "layer1.0.conv3.weight" in shapes else "basic"
    depth = TORCHVISION_DEPTHS.get((kind, blocks))
    classes = _classes(shapes, "fc.weight")
    if depth is None or shapes["layer1.0.conv2.weight"] != (64, 64, 3, 3):
        return Family("ResNet in torchvision's layout, of other widths or depth")
    return Family(
        f"ResNet-{depth} in torchvision's layout",
        {"kind": "timm", "name": f"resnet{depth}.tv_in1k", **classes},
    )


def _count(shapes: Shapes, stage: str, name: str) -> int:
    """Return how many blocks ``stage.0``, ``stage.1`` and so on there are."""
    number = 0
    while f"{stage}.{number}.{name}" in shapes:
        number += 1
    return number


def _classes(shapes: Shapes, last: str) -> dict[str, int]:
    return {"num_classes": shapes[last][0]} if last in shapes else {}


def _starts(shapes: Shapes, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in shapes)
