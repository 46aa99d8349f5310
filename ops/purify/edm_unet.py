"""The frame that the U-Nets of EDM share: what they are told, encoder and decoder."""

import math
from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional

from ops.purify.edm_embedding import Embedded
from ops.purify.edm_layers import (
    BlockStyle,
    HalvedConvolution,
    Maps,
    Rescaled,
    UnetBlock,
)

HALF = math.sqrt(0.5)
"""Factor on a sum of two that keeps its variance."""


class EdmUnetSettings(BaseModel, frozen=True, extra="forbid"):
    """What describes a U-Net of EDM, by the names that its files use."""

    img_resolution: PositiveInt
    """Height and width of images, in pixels."""

    img_channels: PositiveInt
    """Channels of images."""

    label_dim: Annotated[int, Field(ge=0)] = 0
    """Classes it is told of; 0 for an unconditional network."""

    channel_mult_emb: PositiveInt = 4
    """Features of the embedding, in ``model_channels``."""

    model_channels: PositiveInt
    """Unit of width."""

    channel_mult: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    """Width of each level, the finest first, in ``model_channels``."""

    num_blocks: PositiveInt
    """Blocks of each level of the encoder; the decoder has one more."""

    attn_resolutions: tuple[PositiveInt, ...]
    """Heights of the maps that attend to themselves."""

    @model_validator(mode="after")
    def _fits(self) -> "EdmUnetSettings":
        halvings = len(self.channel_mult) - 1
        if self.img_resolution % 2**halvings:
            raise ValueError(
                f"A U-Net of EDM needs an img_resolution that it can halve {halvings} "
                f"times; it is {self.img_resolution}. Correct channel_mult."
            )
        if self.model_channels % 4:
            raise ValueError(
                f"A U-Net of EDM needs model_channels in fours, for its group norms; "
                f"it has {self.model_channels}. Correct the settings."
            )
        return self

    @property
    def features(self) -> int:
        """Features of the embedding."""
        return self.model_channels * self.channel_mult_emb

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, the finest first."""
        return tuple(self.model_channels * factor for factor in self.channel_mult)

    def height(self, level: int) -> int:
        """Height of the maps of a level, in pixels."""
        return self.img_resolution >> level

    def attends(self, level: int) -> bool:
        """Whether a level's maps attend to themselves."""
        return self.height(level) in self.attn_resolutions


class EdmUnet(nn.Module, ABC):
    """An encoder and a decoder, joined by skips at every block.

    Args:
        settings: of the network.
        style: of its blocks.
        residual: whether every halving of the encoder adds the image, halved beside it.
        attend: blocks of the decoder's levels that attend where their level does: all,
            or the last.

    Source:
        Karras et al. 2022, arXiv:2206.00364, appendix F.1 and table 7.
    """

    def __init__(
        self,
        settings: EdmUnetSettings,
        style: BlockStyle,
        *,
        residual: bool,
        attend: Literal["all", "last"],
    ) -> None:
        super().__init__()
        self.settings, self.style = settings, style
        self.enc = nn.ModuleDict()
        self.dec = nn.ModuleDict()
        skips = self._add_encoder(residual)
        self._add_decoder(skips, attend)

    def _add_encoder(self, residual: bool) -> list[int]:
        """Return the channels of the skips, the first first."""
        settings, style = self.settings, self.style
        channels, image, skips = 0, settings.img_channels, []
        for level, width in enumerate(settings.widths):
            place = f"{settings.height(level)}x{settings.height(level)}"
            if level == 0:
                channels = settings.model_channels
                self.enc[f"{place}_conv"] = nn.Conv2d(image, channels, 3, padding=1)
            else:
                self.enc[f"{place}_down"] = UnetBlock(
                    channels, channels, style, direction="down"
                )
            if level > 0 and residual:
                self.enc[f"{place}_aux_residual"] = HalvedConvolution(
                    image, channels, style.taps
                )
                image = channels
            skips.append(channels)
            for block in range(settings.num_blocks):
                self.enc[f"{place}_block{block}"] = UnetBlock(
                    channels, width, style, attention=settings.attends(level)
                )
                channels = width
                skips.append(channels)
        return skips

    def _add_decoder(self, skips: list[int], attend: Literal["all", "last"]) -> None:
        settings, style, last = self.settings, self.style, self.settings.num_blocks
        channels = skips[-1]
        for level, width in reversed(list(enumerate(settings.widths))):
            place = f"{settings.height(level)}x{settings.height(level)}"
            if level == len(settings.widths) - 1:
                self.dec[f"{place}_in0"] = UnetBlock(
                    channels, channels, style, attention=True
                )
                self.dec[f"{place}_in1"] = UnetBlock(channels, channels, style)
            else:
                self.dec[f"{place}_up"] = UnetBlock(
                    channels, channels, style, direction="up"
                )
            for block in range(last + 1):
                attends = settings.attends(level) and (attend == "all" or block == last)
                self.dec[f"{place}_block{block}"] = UnetBlock(
                    channels + skips.pop(), width, style, attention=attends
                )
                channels = width

    def forward(
        self,
        images: Float[torch.Tensor, "copy channel height width"],
        time: Float[torch.Tensor, " copy"],
        labels: Float[torch.Tensor, "copy class"] | None = None,
    ) -> Float[torch.Tensor, "copy channel height width"]:
        """Return the network's output, of the shape of the images.

        Args:
            images: scaled to unit variance.
            time: a quarter of the logarithm of each image's noise.
            labels: one-hot rows, or zeros for no class; where there are classes.
        """
        maps = self.through(images, self.embedded(time, labels))
        norm, last = self.ends()
        return last(functional.silu(norm(maps)))

    @abstractmethod
    def embedded(
        self,
        time: Float[torch.Tensor, " copy"],
        labels: Float[torch.Tensor, "copy class"] | None,
    ) -> Embedded:
        """Return what the blocks are told of noise and class."""

    @abstractmethod
    def ends(self) -> tuple[nn.Module, nn.Module]:
        """Return what turns the last maps into an image: a norm and a convolution."""

    def through(self, images: Maps, embedded: Embedded) -> Rescaled:
        """Return the decoder's last maps.

        Args:
            images: scaled, in the network's type.
            embedded: what the blocks are told.
        """
        skips = self._encoded(images, embedded)
        maps = skips[-1]
        for name, layer in self.dec.items():
            if isinstance(layer, UnetBlock):
                if "_block" in name:
                    maps = torch.cat([maps, skips.pop()], dim=1)
                maps = layer(maps, embedded)
        return maps

    def _encoded(self, images: Maps, embedded: Embedded) -> list[torch.Tensor]:
        skips: list[torch.Tensor] = []
        maps = image = images
        for layer in self.enc.values():
            if isinstance(layer, HalvedConvolution):
                maps = image = (skips.pop() + layer(image)) * HALF
            elif isinstance(layer, UnetBlock):
                maps = layer(maps, embedded)
            else:
                maps = layer(maps)
            skips.append(maps)
        return skips
