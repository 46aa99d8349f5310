"""Checkpoints that torch.save wrote, read without running anything in them."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from infra.weights.pickle_globals import DAMAGE, wanted_globals

WRAPPERS = ("ema", "model_ema", "state_dict_ema", "state_dict", "model", "net")
"""Where training scripts put the tensors; an averaged copy goes before the last one.

Diffusion models are published and sampled as averages, and a script that keeps an
average of a classifier evaluates it.
"""

PREFIXES = ("module.", "1.", "model.")
"""What DataParallel, a normalisation layer in front, and Lightning put before names."""

Plain = str | int | float | bool


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, and how it was wrapped."""

    tensors: Mapping[str, torch.Tensor]
    """Tensors by name, without prefixes."""

    config: Mapping[str, Any]
    """Plain values beside the tensors."""

    wrapper: str | None
    """Key of the dict that held the tensors; ``None`` where the file is that dict."""

    prefix: str
    """What every name began with, and which was taken off."""


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors of a checkpoint and what else it says in plain values.

    Args:
        path: file of torch.save, of any version: a state dict, or a dict that holds
            one under one of ``WRAPPERS``, the first that is there.

    Returns:
        Tensors by name, without wrappers' prefixes; the plain values beside them.

    Raises:
        ValueError: the file wants to run code, is damaged, or holds no tensors.
    """
    checkpoint = open_checkpoint(path)
    return dict(checkpoint.tensors), dict(checkpoint.config)


def open_checkpoint(path: Path) -> Checkpoint:
    """Return what a checkpoint holds, with how it was wrapped.

    Args:
        path: as for ``read_checkpoint``.

    Raises:
        ValueError: the file wants to run code, is damaged, or holds no tensors.
    """
    content = _load(path)
    if not isinstance(content, Mapping):
        raise _no_tensors(path, f"a {type(content).__name__}")
    wrapper = next((name for name in WRAPPERS if _is_mapping(content, name)), None)
    state = content if wrapper is None else content[wrapper]
    odd = [key for key in state if not isinstance(state[key], torch.Tensor)]
    if odd or not state:
        raise _no_tensors(path, f"{odd[0]!r} of another type" if odd else "nothing")
    beside = {} if wrapper is None else content
    config = {key: value for key, value in beside.items() if _is_plain(value)}
    prefix = _prefix(state)
    tensors = {key.removeprefix(prefix): state[key] for key in state}
    return Checkpoint(tensors, config, wrapper, prefix)


def _load(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickles it then refuses
            # No mmap: it cannot read the format from before torch 1.6.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except DAMAGE as error:
        raise ValueError(
            f"A checkpoint needs to hold tensors and plain values only; {path} "
            f"{_complaint(path, error)}. Fetch it again, or load it where you trust it "
            f"and save its state_dict alone."
        ) from error


def _complaint(path: Path, error: Exception) -> str:
    wanted = wanted_globals(path)
    if wanted:
        return f"wants to run {', '.join(wanted)}"
    reason = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
    first_line = (str(error) or type(error).__name__).partition("\n")[0]
    return f"cannot be read ({reason[1] if reason else first_line})"


def _is_mapping(content: Mapping[str, Any], name: str) -> bool:
    return isinstance(content.get(name), Mapping)


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(item, Plain) for item in value)
    return isinstance(value, Plain)


def _prefix(state: Mapping[str, torch.Tensor]) -> str:
    """Return the wrappers' prefixes that all names begin with, one after another."""
    found = ""
    while True:
        longer = [found + prefix for prefix in PREFIXES]
        shared = [p for p in longer if all(key.startswith(p) for key in state)]
        if not shared:
            return found
        found = shared[0]


def _no_tensors(path: Path, found: str) -> ValueError:
    return ValueError(
        f"A checkpoint needs tensors by name, bare or under one of {WRAPPERS}; {path} "
        f"has {found}. Save the network's state_dict."
    )
