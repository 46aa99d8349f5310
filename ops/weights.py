"""What an op knows of weights: a reference to them, and the tensors once read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import nn

Format = Literal["checkpoint", "safetensors", "diffusers"]


class WeightsRef(BaseModel):
    """Where weights come from: a file, a training recipe, or nowhere (untrained)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    """File or folder that holds the weights."""

    format: Format | None = None
    """How ``path`` is laid out; ``None`` takes it from the file's ending."""

    recipe: str | None = None
    """Training recipe that makes them on first use."""

    untrained: int | None = None
    """Seed of random weights, for measuring shape, memory and speed."""

    sha256: str | None = None
    """Digest the weights must have; filled in when the run is resolved."""

    @model_validator(mode="after")
    def _names_one_source(self) -> "WeightsRef":
        named = {
            name: value
            for name in ("path", "recipe", "untrained")
            if (value := getattr(self, name)) is not None
        }
        if len(named) != 1:
            raise ValueError(
                f"weights needs exactly one of path, recipe and untrained; "
                f"it has {named or 'none'}. Name one source."
            )
        if self.untrained is not None and self.sha256 is not None:
            raise ValueError(
                f"weights needs a file for its sha256; it has untrained "
                f"{self.untrained}. Drop sha256, or name a path or a recipe."
            )
        return self


@dataclass(frozen=True)
class Weights:
    """Tensors by name, with what their file says about the network."""

    source: str
    """What to call them in an error: a path or a seed."""

    tensors: Mapping[str, torch.Tensor]
    """Parameters and buffers by state-dict key."""

    config: Mapping[str, Any] = field(default_factory=dict)
    """What the file says: network, schedule, input layer, sigma_train."""


def fit_weights(module: nn.Module, weights: Weights) -> nn.Module:
    """Put weights into a module, all of them and no others.

    Args:
        module: network with the shapes the weights should have.
        weights: tensors by state-dict key.

    Returns:
        The same module, holding the tensors.

    Raises:
        ValueError: a key is missing, left over, or has another shape; names the first.
    """
    expected = module.state_dict()
    problem = _first_mismatch(expected, weights.tensors)
    if problem is not None:
        raise ValueError(
            f"{type(module).__name__} needs weights that fit it; "
            f"{weights.source} {problem}. "
            f"Check the network's settings against the file's, or take another file."
        )
    module.load_state_dict(dict(weights.tensors))
    return module


def _first_mismatch(
    expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]
) -> str | None:
    for key, tensor in expected.items():
        if key not in found:
            return f"has no {key!r} of shape {tuple(tensor.shape)}"
        if found[key].shape != tensor.shape:
            return (
                f"has {key!r} of shape {tuple(found[key].shape)}, "
                f"not {tuple(tensor.shape)}"
            )
    left_over = [key for key in found if key not in expected]
    if left_over:
        return f"has {left_over[0]!r}, which the network has not"
    return None
