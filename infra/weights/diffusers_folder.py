"""Folders of diffusers, read as JSON and safetensors."""

import json
from pathlib import Path
from typing import Any

import torch

from infra.weights.safetensors_file import read_safetensors

SCHEDULERS = ("scheduler/scheduler_config.json", "scheduler_config.json")


def read_diffusers(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the U-Net of a diffusers folder, with its and the scheduler's settings.

    Args:
        path: folder of a pipeline (``unet/`` and ``scheduler/``) or of a bare
            UNet2DModel (``config.json`` and the tensors).

    Returns:
        Tensors by name; settings as ``{"unet": ..., "scheduler": ...}``, without
        ``scheduler`` where the folder has none.

    Raises:
        ValueError: there are no settings, no safetensors, or two files hold one tensor.
    """
    unet = path / "unet" if (path / "unet").is_dir() else path
    config = {"unet": _settings(unet / "config.json")}
    scheduler = next((path / at for at in SCHEDULERS if (path / at).is_file()), None)
    if scheduler is not None:
        config["scheduler"] = _settings(scheduler)
    return _tensors(unet), config


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(
            f"A diffusers folder needs a config.json beside the U-Net's tensors; there "
            f"is no {path}. Name the folder that holds unet/, or the U-Net's own."
        )
    return json.loads(path.read_text())


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        found, _ = read_safetensors(file)
        twice = sorted(tensors.keys() & found.keys())
        if twice:
            raise ValueError(
                f"A diffusers folder needs every tensor once; {folder} has "
                f"{twice[0]!r} in {file.name} again. Keep one variant of the weights."
            )
        tensors |= found
    if not files:
        others = sorted(file.name for file in folder.iterdir())
        raise ValueError(
            f"A diffusers folder needs *.safetensors; {folder} has {others}. Save the "
            f"model again with safe_serialization=True."
        )
    return tensors
