"""Files that are there whole, or not at all, also after a power cut."""

import os
from collections.abc import Callable
from pathlib import Path

from infra.temporaries import temporary_name


def publish_synced(
    target: Path, data: bytes, publish: Callable[[Path, Path], None]
) -> None:
    """Write a temporary file beside the target, and publish it under the name.

    Args:
        target: the name.
        data: of the file.
        publish: gives the temporary file the name, as ``os.replace`` or ``os.link``.
    """
    temporary = target.parent / temporary_name(target.name)
    try:
        _write_synced(temporary, data)
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a new name in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
