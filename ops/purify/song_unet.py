"""DDPM++ and NCSN++, the U-Nets of score models, as Karras et al. train them."""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import nn
from torch.nn import functional

from ops.purify.edm_embedding import (
    Embedded,
    FourierFrequencies,
    phases_to_features,
    positional_phases,
)
from ops.purify.edm_layers import BlockStyle, norm_of
from ops.purify.edm_unet import HALF, EdmUnet, EdmUnetSettings

GUARD = 1e-6
"""What group norms add to variances."""

EvenTaps = Annotated[tuple[float, ...], Field(min_length=2)]


class SongUnetSettings(EdmUnetSettings, frozen=True, extra="forbid"):
    """What describes a DDPM++ or an NCSN++; the defaults are those of DDPM++."""

    model_channels: PositiveInt = 128
    channel_mult: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 2, 2)
    num_blocks: PositiveInt = 4
    attn_resolutions: tuple[PositiveInt, ...] = (16,)

    embedding_type: Literal["positional", "fourier"] = "positional"
    """How the noise is told: at fixed frequencies, or at random ones of the file."""

    channel_mult_noise: PositiveInt = 1
    """Features that tell the noise, in ``model_channels``."""

    encoder_type: Literal["standard", "residual"] = "standard"
    """Whether the image is added at every halving; NCSN++ does."""

    decoder_type: Literal["standard"] = "standard"
    """Whether coarse levels return images too; neither of the two does."""

    resample_filter: EvenTaps = (1.0, 1.0)
    """Taps of the filter that halves and doubles maps, even in number."""


class SongUnet(EdmUnet):
    """DDPM++ or NCSN++.

    Source:
        Song et al. 2021, arXiv:2011.13456, appendix H, as Karras et al. 2022,
        arXiv:2206.00364, table 7, have them.
    """

    def __init__(self, settings: SongUnetSettings) -> None:
        style = BlockStyle(
            features=settings.features,
            taps=settings.resample_filter,
            skip_scale=HALF,
            guard=GUARD,
            adaptive_scale=False,
            project_rescaled=True,
            channels_per_head=None,
        )
        residual = settings.encoder_type == "residual"
        super().__init__(settings, style, residual=residual, attend="last")
        told = settings.model_channels * settings.channel_mult_noise
        self.num_told = told
        fourier = settings.embedding_type == "fourier"
        self.map_noise = FourierFrequencies(told) if fourier else None
        classes = settings.label_dim
        self.map_label = nn.Linear(classes, told) if classes else None
        self.map_layer0 = nn.Linear(told, settings.features)
        self.map_layer1 = nn.Linear(settings.features, settings.features)
        finest = f"{settings.img_resolution}x{settings.img_resolution}"
        width, channels = settings.widths[0], settings.img_channels
        self.names = f"{finest}_aux_norm", f"{finest}_aux_conv"
        self.dec[self.names[0]] = norm_of(width, GUARD)
        self.dec[self.names[1]] = nn.Conv2d(width, channels, 3, padding=1)

    def ends(self) -> tuple[nn.Module, nn.Module]:
        """Return the last norm and convolution, which stand in the decoder."""
        return self.dec[self.names[0]], self.dec[self.names[1]]

    def embedded(
        self,
        time: Float[torch.Tensor, " copy"],
        labels: Float[torch.Tensor, "copy class"] | None,
    ) -> Embedded:
        """Return what the blocks are told of noise and class."""
        if self.map_noise is None:
            phases = positional_phases(time, self.num_told, reach_end=True)
        else:
            phases = self.map_noise(time)
        told = phases_to_features(phases, sine_first=True)
        told = told.to(self.map_layer0.weight.dtype)
        if self.map_label is not None:
            assert labels is not None  # the caller has a network of classes
            told = told + self.map_label(labels.to(told) * math.sqrt(labels.shape[1]))
        told = functional.silu(self.map_layer0(told))
        return functional.silu(self.map_layer1(told))
