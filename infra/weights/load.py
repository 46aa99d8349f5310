"""Weights from a path, whatever wrote them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from infra.weights.checkpoint import read_checkpoint
from infra.weights.diffusers_folder import read_diffusers
from infra.weights.edm_pickle import is_edm_pickle, read_edm_pickle
from infra.weights.edm_settings import LICENCE
from infra.weights.safetensors_file import read_config, read_safetensors

Format = Literal["checkpoint", "safetensors", "diffusers", "edm_pickle"]
Content = tuple[dict[str, torch.Tensor], dict[str, Any]]

READERS: dict[Format, Callable[[Path], Content]] = {
    "checkpoint": read_checkpoint,
    "safetensors": read_safetensors,
    "diffusers": read_diffusers,
    "edm_pickle": read_edm_pickle,
}
ENDINGS: dict[str, Format] = {
    ".bin": "checkpoint",
    ".ckpt": "checkpoint",
    ".net": "checkpoint",
    ".pickle": "checkpoint",
    ".pkl": "checkpoint",
    ".pt": "checkpoint",
    ".pth": "checkpoint",
    ".safetensors": "safetensors",
    ".tar": "checkpoint",
    ".th": "checkpoint",
}
PICKLES = (".pickle", ".pkl")
"""Endings of which a pickle of EDM's code has one."""


def load(path: str | Path, format: Format | None = None) -> Content:
    """Return the tensors at a path, and what is said there about them.

    Args:
        path: file, or folder of diffusers.
        format: how it is laid out; ``None`` takes it from the ending, and diffusers for
            a folder.

    Returns:
        Tensors by state-dict key, on the CPU; settings, empty where there are none.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: the ending tells no format, or the content is not what it should be.
    """
    if "://" in str(path):
        raise ValueError(
            f"Weights need a file on this machine's disks; {path} is elsewhere. "
            f"Fetch it to every node first."
        )
    path = Path(path).expanduser()
    if not path.exists():
        parent = next(parent for parent in path.parents if parent.exists())
        raise FileNotFoundError(
            f"Weights need a file or folder; there is no {path}, though there is "
            f"{parent}. Correct weights.path, or fetch the file to every node."
        )
    format = format or format_of(path)
    if (format == "diffusers") != path.is_dir():
        raise ValueError(
            f"Weights of format {format} need a {_place(format == 'diffusers')}; "
            f"{path} is a {_place(path.is_dir())}. Correct weights.path or "
            f"weights.format."
        )
    return READERS[format](path)


def licence_of(path: str | Path, format: Format | None = None) -> str | None:
    """Return the licence that a file says its weights have, or that its makers do.

    Only safetensors can say it; pickles of EDM's code have that of their authors.

    Args:
        path: file, or folder of diffusers.
        format: as for ``load``.

    Raises:
        ValueError: the file is no safetensors file, though its name says so.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return None
    format = format or _told(path)
    if format == "edm_pickle":
        return LICENCE
    return read_config(path).get("licence") if format == "safetensors" else None


def format_of(path: Path) -> Format:
    """Return how a path is laid out, by its ending; diffusers for a folder.

    A pickle of EDM's code has the ending of others, so it is looked into.

    Args:
        path: of a file or folder that is there.

    Raises:
        ValueError: the ending tells no format.
    """
    if path.is_dir():
        return "diffusers"
    format = _told(path)
    if format is None:
        raise ValueError(
            f"Weights need a format or one of the endings {sorted(ENDINGS)}; {path} "
            f"has {path.suffix!r}. Set weights.format to one of {sorted(READERS)}."
        )
    return format


def _told(path: Path) -> Format | None:
    """Return the format of a file, ``None`` where nothing tells it."""
    format = ENDINGS.get(path.suffix)
    if path.suffix in PICKLES and is_edm_pickle(path):
        return "edm_pickle"
    return format


def _place(folder: bool) -> str:
    return "folder" if folder else "file"
