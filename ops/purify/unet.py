"""Diffusers' U-Net: built from its settings, with what a certificate rules out."""

from collections.abc import Mapping
from inspect import signature
from pathlib import PurePath
from typing import Any

import torch
from torch import nn

from ops.weights import Weights

OLD_ATTENTION_NAMES = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}
"""How attention was spelt in files from before diffusers 0.17."""

OPENAI_MARK = "input_blocks.0.0.weight"
"""A tensor that every U-Net in OpenAI's own layout has, and none of diffusers."""

LARGEST_TENSOR = 2**31
"""Elements from which CUDA's nearest upsampling may return zeros without a word."""


def build_unet(
    settings: Mapping[str, Any], heads: Mapping[str, int] | None = None
) -> nn.Module:
    """Return an unconditional UNet2DModel, its weights not set.

    Args:
        settings: arguments of ``diffusers.UNet2DModel``, as its config.json has them;
            names with a leading underscore are not read.
        heads: as for ``assemble_unet``.

    Returns:
        The network; it takes images of the [-1, 1] range and a timestep.

    Raises:
        ValueError: a setting is unknown, the network is class-conditional, or its
            output channels are neither the image's nor twice as many.
    """
    network = assemble_unet(settings, heads)
    config: Any = network.config
    _refuse_conditional(config)
    _refuse_odd_channels(config)
    return network


def assemble_unet(
    settings: Mapping[str, Any], heads: Mapping[str, int] | None = None
) -> nn.Module:
    """Return a UNet2DModel of any kind, class-conditional too, its weights not set.

    Args:
        settings: as for ``build_unet``.
        heads: number of attention heads by name of attention layer, for every such
            layer; ``None`` where one width of heads in the settings says it all.

    Returns:
        The network.

    Raises:
        ValueError: a setting is unknown, or the heads do not fit the layers.
    """
    # diffusers takes seconds to import, so only a worker that needs it pays.
    from diffusers.models.unets.unet_2d import UNet2DModel

    known = signature(UNet2DModel.__init__).parameters
    arguments = {key: settings[key] for key in settings if not key.startswith("_")}
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ValueError(
            f"UNet2DModel needs settings that the installed diffusers knows; it does "
            f"not know {unknown[0]!r} = {arguments[unknown[0]]!r}. Remove the setting "
            f"or install the version that wrote it."
        )
    network = UNet2DModel(**arguments)
    if heads is not None:
        _set_heads(network, heads)
    return network


def _set_heads(network: nn.Module, heads: Mapping[str, int]) -> None:
    # diffusers takes seconds to import, so only a worker that needs it pays.
    from diffusers.models.attention_processor import Attention

    modules = network.named_modules()
    layers = {name: layer for name, layer in modules if isinstance(layer, Attention)}
    odd = sorted(layers.keys() ^ heads.keys())
    if odd:
        raise ValueError(
            f"attention_heads needs an entry for each of the network's {len(layers)} "
            f"attention layers and no other; it has {len(heads)}, and {odd[0]!r} is on "
            f"one side only. Convert the weights again."
        )
    for name, layer in layers.items():
        width = layer.inner_dim
        if heads[name] < 1 or width % heads[name]:
            raise ValueError(
                f"attention_heads needs numbers that divide their layers' channels; "
                f"{name!r} has {width} channels and {heads[name]} heads. Convert the "
                f"weights again."
            )
        layer.heads = heads[name]
        layer.scale = (width // heads[name]) ** -0.5


def _refuse_conditional(config: Mapping[str, Any]) -> None:
    for name in ("num_class_embeds", "class_embed_type"):
        if config[name] is not None:
            raise ValueError(
                f"A purifier needs an unconditional network; this one has {name} = "
                f"{config[name]!r}. It would have to be told the true label, which "
                f"voids the certificate: take unconditional weights."
            )


def _refuse_odd_channels(config: Mapping[str, Any]) -> None:
    inputs, outputs = config["in_channels"], config["out_channels"]
    if outputs not in (inputs, 2 * inputs):
        raise ValueError(
            f"A purifier needs out_channels equal to in_channels, or twice as many "
            f"with a learned variance; the network has {inputs} in and {outputs} out. "
            f"Take weights of a plain image model."
        )


def refuse_openai_layout(weights: Weights) -> None:
    """Refuse weights in OpenAI's own layout, and say how to convert them.

    Their shapes do not tell the order of queries, keys and values, the number of heads
    or the schedule, so they are not read as they are.

    Args:
        weights: of a purifier.

    Raises:
        ValueError: they are in that layout.
    """
    if OPENAI_MARK in weights.tensors:
        source, target = weights.source, PurePath(weights.source)
        raise ValueError(
            f"one_shot_ddpm needs weights in the layout of diffusers; {source} has "
            f"{OPENAI_MARK!r}, the layout of OpenAI's own files, which do not tell "
            f"their settings. Convert it once: diffsmooth convert {source} --set "
            f"preset=NAME --out {target.with_suffix('.safetensors')} (diffsmooth "
            f"inspect {source} lists the presets that fit)."
        )


def rename_old_attention(
    tensors: Mapping[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Return tensors with the attention layers named as they are today.

    Args:
        tensors: parameters by name, old or new.

    Returns:
        The same tensors; only names of old attention layers differ.
    """
    return {_renamed(key): tensor for key, tensor in tensors.items()}


def _renamed(key: str) -> str:
    if ".attentions." not in key:
        return key
    for old, new in OLD_ATTENTION_NAMES.items():
        key = key.replace(old, new)
    return key


def require_indexable(images: torch.Tensor, config: Mapping[str, Any]) -> None:
    """Refuse a batch whose largest inner tensor CUDA kernels may not index.

    Args:
        images: the batch that goes into the network.
        config: settings of the network.

    Raises:
        ValueError: batch x channels x height x width passes 2^31 somewhere.
    """
    widths = list(config["block_out_channels"])
    channels = widths[0] + max(widths[:2])
    copies, _, height, width = images.shape
    most = (LARGEST_TENSOR - 1) // (channels * height * width)
    if copies > most:
        raise ValueError(
            f"UNet2DModel needs at most {most} copies per call at {height}x{width} "
            f"with {channels} channels inside (2^31 elements); the batch has {copies}. "
            f"Set a smaller batch."
        )
