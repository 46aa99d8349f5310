"""Tensors and settings in one safetensors file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

METADATA_KEY = "diffsmooth"
"""Under which the file's metadata holds the settings, as JSON."""


def read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return a file's tensors and settings.

    Args:
        path: a safetensors file, written here or elsewhere.

    Returns:
        Tensors by name; the settings, empty where the file has none.

    Raises:
        ValueError: the file is damaged or of another format.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the handle is no mapping
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(
            f"Weights need a whole safetensors file; {path} cannot be read ({error}). "
            f"Write or fetch it again, or name its format."
        ) from error
    return tensors, json.loads(metadata.get(METADATA_KEY, "{}"))


def write(
    path: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]
) -> None:
    """Write tensors and settings, so that a file of this name is always whole.

    The same tensors and settings give the same bytes.

    Args:
        path: where to; its folder exists.
        tensors: tensors by name, on any device.
        config: settings that JSON can hold.
    """
    partial = path.with_name(f"{path.name}.partial")
    save_file(
        {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)},
        partial,
        metadata={METADATA_KEY: json.dumps(config, sort_keys=True, allow_nan=False)},
    )
    partial.replace(path)
