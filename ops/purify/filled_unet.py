"""A UNet2DModel with the weights of its file, known to be the right ones."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ops.networks import fill
from ops.purify.fingerprint import require_fingerprint
from ops.purify.unet import build_unet, rename_old_attention
from ops.weights import Weights, WeightsRef

Assemble = Callable[[Mapping[str, Any], Mapping[str, int] | None], nn.Module]


def filled_unet(
    reference: WeightsRef,
    weights: Weights,
    settings: Mapping[str, Any] | None,
    *,
    asked_by: str,
    assemble: Assemble = build_unet,
) -> nn.Module:
    """Return a U-Net with its weights, on the CPU in float32.

    Args:
        reference: where the weights come from.
        weights: what ``read_weights`` made of the reference.
        settings: arguments of ``diffusers.UNet2DModel``; ``None`` takes the weights'.
        asked_by: who needs it, for the error.
        assemble: builds the network of settings and heads, its weights not set.

    Raises:
        ValueError: there are no settings, they and the weights do not fit, or the
            network does not return what the weights' file says it should.
    """
    settings = settings or weights.config.get("unet")
    if settings is None:
        raise ValueError(
            f"{asked_by} needs the settings of its UNet2DModel; {weights.source} has "
            f"none. Set `unet` in the recipe, or take weights with a config.json."
        )
    tensors = rename_old_attention(weights.tensors)
    renamed = Weights(weights.source, tensors, weights.config)
    network = assemble(settings, weights.config.get("attention_heads"))
    network = fill(network, reference, renamed)
    require_fingerprint(network, weights.config, weights.source)
    return network
