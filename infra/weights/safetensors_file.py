"""Tensors and settings in one safetensors file."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the handle is no mapping
        return tensors, _config(file)


def read_config(path: Path) -> dict[str, Any]:
    """Return a file's settings alone, without reading its tensors.

    Args:
        path: as for ``read_safetensors``.

    Raises:
        ValueError: the file is damaged or of another format.
    """
    with _opened(path) as file:
        return _config(file)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(
            f"Weights need a whole safetensors file; {path} cannot be read ({error}). "
            f"Write or fetch it again, or name its format."
        ) from error


def _config(file: Any) -> dict[str, Any]:
    metadata = file.metadata() or {}
    return json.loads(metadata.get(METADATA_KEY, "{}"))


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
    partial.touch()
    mode = partial.stat().st_mode
    save_file(
        {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)},
        partial,
        metadata={METADATA_KEY: json.dumps(config, sort_keys=True, allow_nan=False)},
    )
    partial.chmod(mode)  # or only its owner could read it
    partial.replace(path)
