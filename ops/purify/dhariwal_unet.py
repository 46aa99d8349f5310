"""ADM, the U-Net of guided diffusion, as Karras et al. train it."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import nn
from torch.nn import functional

from ops.purify.edm_embedding import (
    Embedded,
    phases_to_features,
    positional_phases,
)
from ops.purify.edm_layers import BlockStyle, norm_of
from ops.purify.edm_unet import EdmUnet, EdmUnetSettings

GUARD = 1e-5
"""What group norms add to variances."""


class DhariwalUnetSettings(EdmUnetSettings, frozen=True, extra="forbid"):
    """What describes an ADM; the defaults are those for ImageNet at 64 pixels."""

    model_channels: PositiveInt = 192
    channel_mult: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 3, 4)
    num_blocks: PositiveInt = 3
    attn_resolutions: tuple[PositiveInt, ...] = (32, 16, 8)


class DhariwalUnet(EdmUnet):
    """ADM: the embedding scales and shifts, and attention has heads of 64 channels.

    Source:
        Dhariwal and Nichol 2021, arXiv:2105.05233, section 3, as Karras et al. 2022,
        arXiv:2206.00364, table 7, have it.
    """

    def __init__(self, settings: DhariwalUnetSettings) -> None:
        style = BlockStyle(
            features=settings.features,
            taps=(1.0, 1.0),
            skip_scale=1.0,
            guard=GUARD,
            adaptive_scale=True,
            project_rescaled=False,
            channels_per_head=64,
        )
        super().__init__(settings, style, residual=False, attend="all")
        features, classes = settings.features, settings.label_dim
        self.map_layer0 = nn.Linear(settings.model_channels, features)
        self.map_layer1 = nn.Linear(features, features)
        self.map_label = nn.Linear(classes, features, bias=False) if classes else None
        self.out_norm = norm_of(settings.widths[0], GUARD)
        self.out_conv = nn.Conv2d(
            settings.widths[0], settings.img_channels, 3, padding=1
        )

    def ends(self) -> tuple[nn.Module, nn.Module]:
        """Return the last norm and convolution."""
        return self.out_norm, self.out_conv

    def embedded(
        self,
        time: Float[torch.Tensor, " copy"],
        labels: Float[torch.Tensor, "copy class"] | None,
    ) -> Embedded:
        """Return what the blocks are told of noise and class."""
        width = self.map_layer0.in_features
        phases = positional_phases(time, width, reach_end=False)
        told = phases_to_features(phases, sine_first=False)
        told = told.to(self.map_layer0.weight.dtype)
        told = self.map_layer1(functional.silu(self.map_layer0(told)))
        if self.map_label is not None:
            assert labels is not None  # the caller has a network of classes
            told = told + self.map_label(labels.to(told))
        return functional.silu(told)
