"""Tensors of OpenAI's U-Nets, from their authors' layout to that of diffusers."""

from collections.abc import Callable, Mapping, Sequence

import torch

from infra.weights.openai_layout import Module, modules, shapes
from infra.weights.openai_unet import OpenAiUnet


def to_diffusers(
    unet: OpenAiUnet, tensors: Mapping[str, torch.Tensor], source: str
) -> dict[str, torch.Tensor]:
    """Return the tensors of an OpenAI file as ``diffusers.UNet2DModel`` names them.

    Queries, keys and values come apart, in the order the flags say; the convolutions of
    size 1 in attention become the linear layers they are. No value changes.

    Args:
        unet: the network of the file.
        tensors: as the file has them.
        source: what to call the file in an error.

    Returns:
        Tensors by state-dict key.

    Raises:
        ValueError: a tensor is missing, left over, or has another shape.
    """
    _require_fit(unet, tensors, source)
    converted: dict[str, torch.Tensor] = {}
    for module in modules(unet):
        for key in module.shapes:
            parts = _parts(tensors[key], module, new_order=unet.use_new_attention_order)
            converted |= zip(module.renamed(key), parts, strict=True)
    return converted


def _parts(
    tensor: torch.Tensor, module: Module, *, new_order: bool
) -> Sequence[torch.Tensor]:
    """Return a module's tensor alone, or queries, keys and values apart."""
    matrix = module.linear and tensor.dim() > 1
    linear = tensor.flatten(1) if matrix else tensor
    if len(module.new) == 1:
        return [linear]
    return split_attention(linear, module.heads, new_order=new_order)


def split_attention(
    rows: torch.Tensor, heads: int, *, new_order: bool
) -> list[torch.Tensor]:
    """Return queries, keys and values, each with rows ordered by head, then channel.

    A file of one order splits without complaint in the other, and is then wrong.

    Args:
        rows: weight or bias that makes all three, one row per output.
        heads: attention heads of the layer.
        new_order: whether rows are ordered by (query key value, head, channel), as
            with the flag ``use_new_attention_order``, or by (head, query key value,
            channel), as without it and in improved-diffusion.

    Returns:
        Three tensors of a third of the rows.
    """
    rest = rows.shape[1:]
    if new_order:
        apart = rows.reshape(3, -1, *rest)
    else:
        apart = rows.reshape(heads, 3, -1, *rest).transpose(0, 1)
    return [part.reshape(-1, *rest).clone() for part in apart]


def _require_fit(
    unet: OpenAiUnet, tensors: Mapping[str, torch.Tensor], source: str
) -> None:
    wanted = shapes(unet)
    found = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    missing = [key for key in wanted if key not in found]
    left_over = [key for key in found if key not in wanted]
    other = [k for k in wanted if k in found and found[k] != wanted[k]]
    problems = [
        *_first(missing, lambda key: f"no {key!r} of shape {wanted[key]}"),
        *_first(left_over, lambda key: f"{key!r}, which they have not"),
        *_first(other, lambda k: f"{k!r} of shape {found[k]}, not {wanted[k]}"),
    ]
    if problems:
        raise ValueError(
            f"The settings of the U-Net need a file that fits them; {source} has "
            f"{', and '.join(problems)}. Name the preset of this very file, or correct "
            f"the flags: diffsmooth inspect {source} says which presets fit."
        )


def _first(keys: Sequence[str], sentence: Callable[[str], str]) -> list[str]:
    """Return what is to be said of the first key, and how many more there are."""
    if not keys:
        return []
    more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
    return [f"{sentence(keys[0])}{more}"]
