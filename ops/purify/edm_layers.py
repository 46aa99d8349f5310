"""Layers of the U-Nets that Karras et al. train: blocks, and what rescales maps.

Names of parameters are those of the authors' files, which so fit as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import nn
from torch.nn import functional

from ops.purify.edm_embedding import Embedded

Direction = Literal["down", "same", "up"]
Maps = Float[torch.Tensor, "copy channel height width"]
Rescaled = Float[torch.Tensor, "copy outer_channel outer_height outer_width"]


@dataclass(frozen=True)
class BlockStyle:
    """What the blocks of one network have in common."""

    features: int
    """Of the embedding of noise and class."""

    taps: tuple[float, ...]
    """Of the filter that halves and doubles maps, along one axis, even in number."""

    skip_scale: float
    """Factor on every sum of a block's input and output."""

    guard: float
    """What group norms add to variances."""

    adaptive_scale: bool
    """Whether the embedding scales and shifts the normed maps, not only shifts them."""

    project_rescaled: bool
    """Whether a skip that halves or doubles maps has a convolution of its own."""

    channels_per_head: int | None
    """Width of an attention head; ``None`` for one head as wide as its layer."""


def norm_of(channels: int, guard: float) -> nn.GroupNorm:
    """Return a group norm of up to 32 groups of at least 4 channels.

    Args:
        channels: a whole number of groups.
        guard: added to variances, above 0.
    """
    return nn.GroupNorm(min(32, channels // 4), channels, eps=guard)


def filter_of(taps: Sequence[float]) -> Float[torch.Tensor, "1 1 tap tap"]:
    """Return the square filter of one axis's taps; its entries sum to 1.

    Args:
        taps: of a separable filter, of positive sum.
    """
    row = torch.tensor(taps, dtype=torch.float32)
    return (row.outer(row) / row.sum().square())[None, None]


def rescale(
    maps: Maps, kernel: Float[torch.Tensor, "1 1 tap tap"], direction: Direction
) -> Rescaled:
    """Return maps of half or double height and width, filtered.

    Args:
        maps: of even height and width.
        kernel: sums to 1 and has an even number of taps; outside there are zeros.
        direction: ``same`` leaves the maps alone.

    Source:
        Song et al. 2021, arXiv:2011.13456, appendix H (anti-aliasing with a finite
        impulse response); Karras et al. 2022, arXiv:2206.00364, table 7.
    """
    channels, padding = maps.shape[1], (kernel.shape[-1] - 1) // 2
    tiled = kernel.to(maps.dtype).expand(channels, 1, -1, -1)
    if direction == "down":
        return functional.conv2d(maps, tiled, None, 2, padding, groups=channels)
    if direction == "up":
        return functional.conv_transpose2d(
            maps, 4.0 * tiled, None, 2, padding, groups=channels
        )
    return maps


class Rescale(nn.Module):
    """Halve or double maps by a filter, with nothing learned."""

    resample_filter: torch.Tensor

    def __init__(self, taps: Sequence[float], direction: Direction) -> None:
        super().__init__()
        self.direction: Direction = direction
        self.register_buffer("resample_filter", filter_of(taps))

    def forward(self, maps: Maps) -> Rescaled:
        """Return the maps, filtered and of another size."""
        return rescale(maps, self.resample_filter, self.direction)


class RescaledConvolution(nn.Conv2d):
    """Halve or double maps by a filter, then convolve them."""

    resample_filter: torch.Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        taps: Sequence[float],
        direction: Direction,
    ) -> None:
        super().__init__(inputs, outputs, width, padding=width // 2)
        self.direction: Direction = direction
        self.register_buffer("resample_filter", filter_of(taps))

    def forward(self, input: Maps) -> Rescaled:
        """Return the maps, of another size, convolved."""
        return super().forward(rescale(input, self.resample_filter, self.direction))


class HalvedConvolution(nn.Conv2d):
    """Convolve maps 3 x 3, then halve them by a filter.

    The convolution reaches as far over the edge as the filter then does, so that what
    the filter sees outside is convolved too, and not zero.
    """

    resample_filter: torch.Tensor

    def __init__(self, inputs: int, outputs: int, taps: Sequence[float]) -> None:
        super().__init__(inputs, outputs, 3, padding=1 + (len(taps) - 1) // 2)
        self.register_buffer("resample_filter", filter_of(taps))

    def forward(self, input: Maps) -> Rescaled:
        """Return the maps, convolved, of half the height and width."""
        maps = super().forward(input)
        tiled = self.resample_filter.to(maps.dtype).expand(maps.shape[1], 1, -1, -1)
        return functional.conv2d(maps, tiled, stride=2, groups=maps.shape[1])


def convolution(
    inputs: int,
    outputs: int,
    width: int,
    taps: Sequence[float],
    direction: Direction = "same",
) -> nn.Conv2d:
    """Return a convolution that keeps the size of maps, after a rescaling if any."""
    if direction == "same":
        return nn.Conv2d(inputs, outputs, width, padding=width // 2)
    return RescaledConvolution(inputs, outputs, width, taps, direction)


class UnetBlock(nn.Module):
    """Two convolutions told the embedding, a skip, and self-attention if asked.

    Source:
        Song et al. 2021, arXiv:2011.13456, appendix H; Dhariwal and Nichol 2021,
        arXiv:2105.05233, section 3; Karras et al. 2022, arXiv:2206.00364, table 7.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        style: BlockStyle,
        *,
        direction: Direction = "same",
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.style = style
        widened = outputs * (2 if style.adaptive_scale else 1)
        self.norm0 = norm_of(inputs, style.guard)
        self.conv0 = convolution(inputs, outputs, 3, style.taps, direction)
        self.affine = nn.Linear(style.features, widened)
        self.norm1 = norm_of(outputs, style.guard)
        self.conv1 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = _skip(inputs, outputs, style, direction)
        self.num_heads = _heads(outputs, style) if attention else 0
        if attention:
            self.norm2 = norm_of(outputs, style.guard)
            self.qkv = nn.Conv2d(outputs, 3 * outputs, 1)
            self.proj = nn.Conv2d(outputs, outputs, 1)

    def forward(self, maps: Maps, embedded: Embedded) -> Rescaled:
        """Return the block's maps.

        Args:
            maps: of ``inputs`` channels.
            embedded: what the network is told of noise and class.
        """
        inner = self.conv0(functional.silu(self.norm0(maps)))
        told = self.affine(embedded)[:, :, None, None]
        if self.style.adaptive_scale:
            scale, shift = told.chunk(2, dim=1)
            inner = self.norm1(inner) * (1.0 + scale) + shift
        else:
            inner = self.norm1(inner + told)
        inner = self.conv1(functional.silu(inner))
        maps = (inner + self.skip(maps)) * self.style.skip_scale
        if self.num_heads:
            maps = (self._attended(maps) + maps) * self.style.skip_scale
        return maps

    def _attended(self, maps: Maps) -> Maps:
        """Return what each place gathers from all; queries stand beside their keys."""
        copies, _, height, width = maps.shape
        mixed = self.qkv(self.norm2(maps))
        parts = mixed.reshape(copies, self.num_heads, -1, 3, height * width)
        query, key, value = (part.transpose(2, 3) for part in parts.unbind(3))
        gathered = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(gathered.transpose(2, 3).reshape(maps.shape))


def _skip(
    inputs: int, outputs: int, style: BlockStyle, direction: Direction
) -> nn.Module:
    if inputs == outputs and direction == "same":
        return nn.Identity()
    if inputs == outputs and not style.project_rescaled:
        return Rescale(style.taps, direction)
    return convolution(inputs, outputs, 1, style.taps, direction)


def _heads(channels: int, style: BlockStyle) -> int:
    width = style.channels_per_head or channels
    if channels % width:
        raise ValueError(
            f"Attention of {channels} channels needs heads of {width} each; {channels} "
            f"is no multiple. Correct model_channels or channel_mult."
        )
    return channels // width
