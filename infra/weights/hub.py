"""Weights in the local cache of Hugging Face's hub; nothing is ever fetched."""

from pathlib import Path

FILES = ("model.safetensors", "pytorch_model.bin")
"""Where a single file holds all tensors: what timm and transformers write."""

FOLDER_MARKS = ("model_index.json", "diffusion_pytorch_model.safetensors")
"""What a folder of diffusers has: a pipeline's list of parts, or a U-Net."""


def cached(name: str, revision: str | None = None) -> Path:
    """Return where the cache holds the weights of a hub entry.

    Args:
        name: ``org/name``.
        revision: branch, tag or commit; ``None`` for ``main``.

    Returns:
        A file of tensors, or the folder where it is one of diffusers. ``HF_HOME`` and
        ``HF_HUB_CACHE`` say where the cache is.

    Raises:
        FileNotFoundError: the cache has no such entry.
        ValueError: the name is none of the hub's, or the entry has no weights.
    """
    # Half a second to import, and most runs name a path.
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    at = f" at {revision}" if revision else ""
    try:
        found = snapshot_download(name, revision=revision, local_files_only=True)
    except HFValidationError as error:
        raise ValueError(
            f"weights.hub needs a name as org/name; it is {name!r}. Correct it."
        ) from error
    except LocalEntryNotFoundError as error:
        raise FileNotFoundError(
            f"weights.hub needs {name}{at} in the local cache of Hugging Face's hub; "
            f"{constants.HF_HUB_CACHE} has none. Fetch it there with `hf download "
            f"{name}`, set HF_HOME to where it is, or give weights.path."
        ) from error
    return _weights_in(Path(str(found)), name)


def _weights_in(snapshot: Path, name: str) -> Path:
    if any((snapshot / mark).is_file() for mark in FOLDER_MARKS):
        return snapshot
    file = next((snapshot / f for f in FILES if (snapshot / f).is_file()), None)
    if file is None:
        others = sorted(entry.name for entry in snapshot.iterdir())
        raise ValueError(
            f"weights.hub needs an entry with one of {[*FILES, *FOLDER_MARKS]}; the "
            f"cached {name} has {others}. Fetch all of it, or give weights.path."
        )
    return file
