"""What a network returns for one fixed input, by which weights are known as right.

Weights whose queries, keys and values are in the wrong order, or whose attention has
the wrong number of heads, load without complaint and purify a little worse. The stored
output tells.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ops.noise import gaussian, noise_key

FIELD = "fingerprint"
"""Key of a fingerprint in the settings of a weights file."""

LARGEST_SIZE = 64
"""Height and width of the input at most, in pixels, so that a check takes seconds."""

SETTINGS = ("unet", "scheduler", "attention_heads", "rescale_timesteps")
"""What a file says of its network beside the tensors."""

TIMESTEP = 250.25
"""What the network is told; between two timesteps, as rescaled ones are."""

NUM_VALUES = 256
"""Values that are kept, evenly spread over the output."""

TOLERANCE = 1e-4
"""Largest difference to the largest value; kernels of other machines make 1e-6."""


def fingerprint_of(
    network: nn.Module, config: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """Return what identifies a diffusion network by its behaviour.

    Args:
        network: a ``diffusers.UNet2DModel`` on the CPU in float32, with its weights.
        config: what its file will say of it, without a fingerprint.
        source: what to call the weights in an error.

    Returns:
        ``size``: height and width of the input; ``values``: some of the output;
        ``settings``: SHA-256 of ``SETTINGS``, which no output shows. The input is noise
        of a fixed key, the class 0 where there are classes.

    Raises:
        ValueError: the network returns NaN or infinity, or 0 everywhere.
    """
    own: Any = network.config
    size = min(own["sample_size"], LARGEST_SIZE)
    values = _values(network, size, own)
    if not values.isfinite().all() or not values.any():
        raise ValueError(
            f"A fingerprint needs a trained network, which returns finite numbers and "
            f"not only 0; that of {source} returns a largest value of "
            f"{values.abs().max().item()}. Take another file."
        )
    return {"size": size, "values": values.tolist(), "settings": _digest(config)}


def _digest(config: Mapping[str, Any]) -> str:
    said = {name: config.get(name) for name in SETTINGS}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@torch.no_grad()
def _values(network: nn.Module, size: int, config: Mapping[str, Any]) -> torch.Tensor:
    key = noise_key(0, 0.0, FIELD, FIELD, 0)
    noise = gaussian(key, 0, 1, (config["in_channels"], size, size))
    classes = {}
    if config["num_class_embeds"] is not None:
        classes = {"class_labels": torch.zeros(1, dtype=torch.long)}
    was_training = network.training
    (output,) = network.eval()(
        noise, torch.tensor(TIMESTEP), return_dict=False, **classes
    )
    network.train(was_training)
    flat = output.flatten()
    return flat[torch.arange(NUM_VALUES) * (len(flat) - 1) // (NUM_VALUES - 1)]


def require_fingerprint(
    network: nn.Module, config: Mapping[str, Any], source: str
) -> None:
    """Refuse a network that does not return what its file says it should.

    Args:
        network: as for ``fingerprint_of``.
        config: settings of the file; nothing is checked where the file was never
            converted, so that nothing is known of it.
        source: what to call the weights in an error.

    Raises:
        ValueError: the output or a setting is another, or a converted file has lost
            its fingerprint.
    """
    if FIELD not in config and "source" not in config:
        return
    stored = config.get(FIELD, {})
    if stored.get("settings") != _digest(config):
        raise ValueError(
            f"A converted network needs the settings it was converted with "
            f"({', '.join(SETTINGS)}); those of {source} were changed, or its "
            f"fingerprint was taken out. Convert the original file again."
        )
    settings: Any = network.config
    expected = torch.tensor(stored["values"])
    found = _values(network, stored["size"], settings)
    difference = (found - expected).abs().max() / expected.abs().max()
    if not difference <= TOLERANCE:  # NaN is no match
        raise ValueError(
            f"A converted network needs to return what it returned when it was "
            f"converted, to {TOLERANCE:g}; that of {source} differs by "
            f"{difference.item():.2g} of the largest value. Its tensors or settings "
            f"were changed: convert the original file again, and leave `unet` out of "
            f"the recipe."
        )
