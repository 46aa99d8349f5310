"""The modules of OpenAI's U-Nets: their names there and in diffusers, their shapes."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.weights.openai_unet import NUM_CLASSES, OpenAiUnet

Shape = tuple[int, ...]

MARK = "input_blocks.0.0.weight"
"""A tensor that every file in OpenAI's layout has, and no other file."""


@dataclass(frozen=True)
class Module:
    """A module that has a weight and, unless it is an embedding, a bias."""

    old: str
    """Its name in OpenAI's files."""

    new: tuple[str, ...]
    """Its name in diffusers; three names where it is queries, keys and values."""

    shape: Shape
    """Of its weight in OpenAI's files."""

    heads: int = 1
    """Attention heads, where it is queries, keys and values."""

    linear: bool = False
    """Whether it is a convolution of size 1 there and a linear layer in diffusers."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes of its tensors, by their names in OpenAI's files."""
        bias = {} if self.old == "label_emb" else {f"{self.old}.bias": self.shape[:1]}
        return {f"{self.old}.weight": self.shape, **bias}

    def renamed(self, key: str) -> tuple[str, ...]:
        """Return the names in diffusers of one of its tensors."""
        return tuple(name + key.removeprefix(self.old) for name in self.new)


def is_openai(tensors: Mapping[str, object]) -> bool:
    """Return whether tensors are named as in OpenAI's files."""
    return MARK in tensors


def shapes(unet: OpenAiUnet) -> dict[str, Shape]:
    """Return the shape of every tensor in a network's OpenAI file, by name."""
    return {key: s for module in modules(unet) for key, s in module.shapes.items()}


def key_map(unet: OpenAiUnet) -> dict[str, tuple[str, ...]]:
    """Return the names in diffusers of every tensor in a network's OpenAI file."""
    return {
        key: module.renamed(key) for module in modules(unet) for key in module.shapes
    }


def attention_heads(unet: OpenAiUnet) -> dict[str, int]:
    """Return the heads of every attention layer, by the layer's name in diffusers.

    UNet2DModel's settings know one width of heads for all layers; networks of a fixed
    number of heads have another width on each level.
    """
    return {
        module.new[0].removesuffix(".to_q"): module.heads
        for module in modules(unet)
        if len(module.new) > 1
    }


def modules(unet: OpenAiUnet) -> list[Module]:
    """Return every module that has weights, in the order of OpenAI's files.

    Source:
        Dhariwal and Nichol 2021, arXiv:2105.05233, section 3.
    """
    base, time = unet.num_channels, 4 * unet.num_channels
    classes = _plain("label_emb", "class_embedding", NUM_CLASSES, time)
    down, skips = _down(unet)
    return [
        _plain("time_embed.0", "time_embedding.linear_1", time, base),
        _plain("time_embed.2", "time_embedding.linear_2", time, time),
        *([classes] if unet.class_cond else []),
        *down,
        *_middle(unet),
        *_up(unet, skips),
        _plain("out.0", "conv_norm_out", base),
        _plain("out.2", "conv_out", unet.out_channels, base, 3, 3),
    ]


def _plain(old: str, new: str, *shape: int) -> Module:
    return Module(old, (new,), shape)


def _down(unet: OpenAiUnet) -> tuple[list[Module], list[int]]:
    """Return the modules on the way down, and the widths that go to the way up."""
    found = [_plain("input_blocks.0.0", "conv_in", unet.num_channels, 3, 3, 3)]
    skips = [unet.num_channels]
    for level, width in enumerate(unet.widths):
        block = f"down_blocks.{level}"
        for layer in range(unet.num_res_blocks):
            old, new = f"input_blocks.{len(skips)}", f"{block}.resnets.{layer}"
            found += _resnet(unet, f"{old}.0", new, (skips[-1], width))
            if level in unet.attention_levels:
                new = f"{block}.attentions.{layer}"
                found += _attention(unet, f"{old}.1", new, (width, unet.heads(width)))
            skips.append(width)
        if level < len(unet.widths) - 1:
            old = f"input_blocks.{len(skips)}.0"
            found += _resample(unet, old, f"{block}.downsamplers.0", width)
            skips.append(width)
    return found, skips


def _middle(unet: OpenAiUnet) -> list[Module]:
    width = unet.widths[-1]
    old, new, heads = "middle_block", "mid_block", unet.heads(width)
    return [
        *_resnet(unet, f"{old}.0", f"{new}.resnets.0", (width, width)),
        *_attention(unet, f"{old}.1", f"{new}.attentions.0", (width, heads)),
        *_resnet(unet, f"{old}.2", f"{new}.resnets.1", (width, width)),
    ]


def _up(unet: OpenAiUnet, skips: list[int]) -> list[Module]:
    found: list[Module] = []
    left, inputs = list(skips), unet.widths[-1]
    for index, width in enumerate(reversed(unet.widths)):
        block, level = f"up_blocks.{index}", len(unet.widths) - 1 - index
        attends = level in unet.attention_levels
        for layer in range(unet.num_res_blocks + 1):
            old = f"output_blocks.{len(skips) - len(left)}"
            new = f"{block}.resnets.{layer}"
            found += _resnet(unet, f"{old}.0", new, (inputs + left.pop(), width))
            inputs = width
            if attends:
                heads = unet.heads(width, upwards=True)
                new = f"{block}.attentions.{layer}"
                found += _attention(unet, f"{old}.1", new, (width, heads))
        if level > 0:
            old = f"output_blocks.{len(skips) - len(left) - 1}.{1 + attends}"
            found += _resample(unet, old, f"{block}.upsamplers.0", width)
    return found


def _resnet(
    unet: OpenAiUnet, old: str, new: str, widths: tuple[int, int]
) -> list[Module]:
    inputs, outputs = widths
    time = outputs * (2 if unet.use_scale_shift_norm else 1)
    skip = _plain(
        f"{old}.skip_connection", f"{new}.conv_shortcut", outputs, inputs, 1, 1
    )
    return [
        _plain(f"{old}.in_layers.0", f"{new}.norm1", inputs),
        _plain(f"{old}.in_layers.2", f"{new}.conv1", outputs, inputs, 3, 3),
        _plain(
            f"{old}.emb_layers.1", f"{new}.time_emb_proj", time, 4 * unet.num_channels
        ),
        _plain(f"{old}.out_layers.0", f"{new}.norm2", outputs),
        _plain(f"{old}.out_layers.3", f"{new}.conv2", outputs, outputs, 3, 3),
        *([skip] if inputs != outputs else []),
    ]


def _attention(
    unet: OpenAiUnet, old: str, new: str, width_and_heads: tuple[int, int]
) -> list[Module]:
    width, heads = width_and_heads
    size = (1, 1) if unet.family == "consistency" else (1,)
    apart = tuple(f"{new}.{name}" for name in ("to_q", "to_k", "to_v"))
    mixed, out = (3 * width, width, *size), (width, width, *size)
    return [
        _plain(f"{old}.norm", f"{new}.group_norm", width),
        Module(f"{old}.qkv", apart, mixed, heads, linear=True),
        Module(f"{old}.proj_out", (f"{new}.to_out.0",), out, linear=True),
    ]


def _resample(unet: OpenAiUnet, old: str, new: str, width: int) -> list[Module]:
    if unet.resblock_updown:
        return _resnet(unet, old, new, (width, width))
    name = "op" if old.startswith("input_blocks") else "conv"
    return [_plain(f"{old}.{name}", f"{new}.conv", width, width, 3, 3)]
