"""How a U-Net of Karras et al. is told a number: sines and cosines of its multiples."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import nn

Embedded = Float[torch.Tensor, "copy feature"]

LARGEST_PERIOD = 10_000.0
"""Of a positional embedding, over 2 pi, in units of what is embedded."""


def phases_to_features(
    phases: Float[torch.Tensor, "copy frequency"], *, sine_first: bool
) -> Embedded:
    """Return sines and cosines of phases, one half of the features each."""
    both = (phases.sin(), phases.cos()) if sine_first else (phases.cos(), phases.sin())
    return torch.cat(both, dim=1)


def positional_phases(
    time: Float[torch.Tensor, " copy"], features: int, *, reach_end: bool
) -> Float[torch.Tensor, "copy frequency"]:
    """Return phases of a positional embedding.

    Args:
        time: what is embedded.
        features: of the embedding, twice the number of frequencies.
        reach_end: whether the last frequency is 1 / ``LARGEST_PERIOD``, or the next
            after the last would be.

    Source:
        Ho et al. 2020, arXiv:2006.11239, appendix B; Vaswani et al. 2017,
        arXiv:1706.03762, section 3.5.
    """
    number = features // 2
    share = torch.arange(number, device=time.device) / (number - int(reach_end))
    return time[:, None] * LARGEST_PERIOD**-share


class FourierFrequencies(nn.Module):
    """The random frequencies of an embedding, fixed when a network is made.

    Source:
        Tancik et al. 2020, arXiv:2006.10739; Song et al. 2021, arXiv:2011.13456,
        appendix C.2.
    """

    freqs: torch.Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.zeros(features // 2))

    def forward(
        self, time: Float[torch.Tensor, " copy"]
    ) -> Float[torch.Tensor, "copy frequency"]:
        """Return the phases of times."""
        return time[:, None] * (2.0 * math.pi * self.freqs)

    def _apply(
        self, fn: Callable[..., Any], recurse: bool = True
    ) -> "FourierFrequencies":
        """Move as asked, but keep float32: phases of hundreds need its digits."""
        kept = self.freqs
        super()._apply(fn, recurse)
        self.freqs = kept.to(self.freqs.device)
        return self
