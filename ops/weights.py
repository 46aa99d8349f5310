"""What an op knows of weights: a reference to them, and the tensors once read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import nn

Format = Literal["checkpoint", "safetensors", "diffusers", "edm_pickle"]
Tensors = Mapping[str, torch.Tensor]


class WeightsRef(BaseModel):
    """Where weights come from: a file, a training recipe, or nowhere (untrained)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    """File or folder that holds the weights."""

    format: Format | None = None
    """How ``path`` is laid out; ``None`` takes it from the file's ending."""

    hub: str | None = None
    """``org/name`` in the local cache of Hugging Face's hub; never fetched from it."""

    revision: str | None = None
    """Branch, tag or commit of ``hub``; ``None`` for what the cache has as ``main``."""

    recipe: str | None = None
    """Training recipe that makes them on first use."""

    settings: tuple[str, ...] = ()
    """``field=value`` each, applied to ``recipe``: one recipe serves every sigma."""

    untrained: int | None = None
    """Seed of random weights, for measuring shape, memory and speed."""

    sha256: str | None = None
    """Digest the weights must have; filled in when the run is resolved."""

    licence: str | None = None
    """Under what terms they may be used; ``None`` takes what the file says."""

    @model_validator(mode="after")
    def _names_one_source(self) -> "WeightsRef":
        named = {
            name: value
            for name in ("path", "hub", "recipe", "untrained")
            if (value := getattr(self, name)) is not None
        }
        if len(named) != 1:
            raise ValueError(
                f"weights needs exactly one of path, recipe and untrained, or hub in "
                f"place of path; it has {named or 'none'}. Name one source."
            )
        if self.revision is not None and self.hub is None:
            raise ValueError(
                f"weights needs a hub for its revision {self.revision!r}; hub has None."
                f" Name the hub entry as org/name, or drop revision."
            )
        if self.untrained is not None and self.sha256 is not None:
            raise ValueError(
                f"weights needs a file for its sha256; it has untrained "
                f"{self.untrained}. Drop sha256, or name a path or a recipe."
            )
        return self

    @model_validator(mode="after")
    def _has_settings_of_a_recipe(self) -> "WeightsRef":
        if self.settings and self.recipe is None:
            raise ValueError(
                f"weights needs a training recipe for its settings "
                f"{list(self.settings)}; recipe has None. Name the recipe they change, "
                f"or drop settings."
            )
        for setting in self.settings:
            field, separator, _ = setting.partition("=")
            if not separator or not field.strip():
                raise ValueError(
                    f"weights needs settings of the form field=value; it has "
                    f"{setting!r}. Write for example [seed=3]."
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
        ValueError: keys are missing, left over, or have another shape; names the first
            of each and how many there are.
    """
    expected = module.state_dict()
    problems = _mismatches(expected, weights.tensors)
    if problems:
        raise ValueError(
            f"{type(module).__name__} needs weights that fit it; "
            f"{weights.source} {', and '.join(problems)}. "
            f"Check the network's settings against the file's, or take another file."
        )
    module.load_state_dict(dict(weights.tensors))
    return module


def _mismatches(expected: Tensors, found: Tensors) -> list[str]:
    wanted, has = _shapes(expected), _shapes(found)
    missing = [
        f"has no {key!r} of shape {wanted[key]}" for key in wanted if key not in has
    ]
    misshapen = [
        f"has {key!r} of shape {has[key]}, not {wanted[key]}"
        for key in wanted
        if key in has and has[key] != wanted[key]
    ]
    left_over = [
        f"has {key!r}, which the network has not" for key in has if key not in wanted
    ]
    return [_first(each) for each in (missing, misshapen, left_over) if each]


def _shapes(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def _first(sentences: list[str]) -> str:
    more = f" (and {len(sentences) - 1} more)" if len(sentences) > 1 else ""
    return f"{sentences[0]}{more}"
