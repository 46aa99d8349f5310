"""Checkpoints that torch.save wrote, read without running anything in them."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

WRAPPERS = ("state_dict", "model", "net")
"""Where training scripts put the tensors."""

PREFIXES = ("1.module.", "module.", "1.")
"""What DataParallel and a normalisation layer in front put before every name."""

Plain = str | int | float | bool


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors of a checkpoint and what else it says in plain values.

    Args:
        path: file of torch.save, of any version: a state dict, or a dict that holds
            one under ``state_dict``, ``model`` or ``net``.

    Returns:
        Tensors by name, without wrappers' prefixes; the plain values beside them.

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
    return _stripped(state), config


def _load(path: Path) -> object:
    try:
        # No mmap: it cannot read the format from before torch 1.6.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"A checkpoint needs to hold tensors and plain values only; {path} "
            f"{_complaint(path, error)}. Convert it to safetensors where you trust it, "
            f"or fetch it again."
        ) from error


def _complaint(path: Path, error: Exception) -> str:
    wanted = re.search(r"GLOBAL (\S+)", str(error))
    if wanted is not None:
        return f"wants to run {_globals(path) or wanted[1]}"
    reason = re.search(r"WeightsUnpickler error: (.+)", str(error))
    first_line = (str(error) or type(error).__name__).partition("\n")[0]
    return f"cannot be read ({reason[1] if reason else first_line})"


def _globals(path: Path) -> str:
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except ValueError:  # from before torch 1.6: such files cannot be asked
        return ""
    return ", ".join(sorted(names))


def _is_mapping(content: Mapping[str, Any], name: str) -> bool:
    return isinstance(content.get(name), Mapping)


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(item, Plain) for item in value)
    return isinstance(value, Plain)


def _stripped(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            return {key.removeprefix(prefix): state[key] for key in state}
    return dict(state)


def _no_tensors(path: Path, found: str) -> ValueError:
    return ValueError(
        f"A checkpoint needs tensors by name, bare or under one of {WRAPPERS}; {path} "
        f"has {found}. Save the network's state_dict."
    )
