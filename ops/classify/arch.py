"""What a checkpoint says its network is, held against what a recipe says."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from ops.weights import Weights

_CIFAR_RESNET = re.compile(r"(?:cifar|imagenet32)_resnet(\d+)(?:_shortcut([AB]))?")
"""How Cohen et al. and those who built on them name the ResNets for 32 x 32 images."""

_TAGS = {
    "resnet50": "resnet50.tv_in1k",
    "beit_large_patch16_224": "beit_large_patch16_224.in22k_ft_in22k_in1k",
}
"""Names in timm of the networks for ImageNet in the papers' files."""

_OWN = ("cifar_resnet", "digits_cnn")
"""Kinds that training writes, their other settings beside them."""


def require_arch(
    weights: Weights, here: Mapping[str, Any], timm_names: Collection[str] = _TAGS
) -> None:
    """Refuse weights whose file says that they belong to another network.

    Files of another network do not fit as a rule; but a network may differ in what its
    tensors do not show, and a name tells more than a tensor of another shape.

    Args:
        weights: with what their file says; nothing is checked where that names no
            network known here.
        here: ``kind`` and, where the kind has them, ``depth``, ``shortcut`` and
            ``name`` of the recipe's classifier; of a timm name the architecture counts.
        timm_names: architectures known to be timm's.

    Raises:
        ValueError: the file says another kind, depth, shortcut or architecture.
    """
    said = _said(weights.config, timm_names)
    ours = {**here, "name": str(here.get("name", "")).partition(".")[0]}
    if all(ours.get(field) == value for field, value in said.items()):
        return
    asked = {field: here[field] for field in said if field in here}
    raise ValueError(
        f"The classifier needs {_listed(said)}, for {weights.source} says that it is "
        f"of arch {weights.config['arch']!r}; the recipe has {_listed(asked)}. Set "
        f"classifier to {{{_listed(_recipe_fields(said))}, ...}}."
    )


def _said(config: Mapping[str, Any], timm_names: Collection[str]) -> dict[str, Any]:
    """Return the settings of a classifier that a file's ``arch`` stands for."""
    arch = config.get("arch")
    if not isinstance(arch, str):
        return {}
    if found := _CIFAR_RESNET.fullmatch(arch):
        said = {"kind": "cifar_resnet", "depth": int(found[1])}
        return said | ({"shortcut": found[2]} if found[2] else {})
    if arch in _OWN:
        beside = {
            field: config[field] for field in ("depth", "shortcut") if field in config
        }
        return {"kind": arch, **beside}
    return {"kind": "timm", "name": arch} if arch in timm_names else {}


def _recipe_fields(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a recipe has them, with what the papers' files all share."""
    if said["kind"] == "cifar_resnet":
        return {"shortcut": "B", **said}
    if said["kind"] == "timm":
        return {**said, "name": _TAGS.get(said["name"], f"{said['name']}.TAG")}
    return dict(said)


def _listed(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{field}: {value}" for field, value in fields.items())
