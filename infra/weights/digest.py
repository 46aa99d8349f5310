"""What identifies weights: the sha256 of their bytes."""

import hashlib
import os
from pathlib import Path


def digest(path: str | Path) -> str:
    """Return the sha256 of a file, or of a folder's files and their names.

    Hidden files are left out, so that a download tool's notes change nothing.

    Args:
        path: file or folder.

    Returns:
        64 hexadecimal digits.

    Raises:
        FileNotFoundError: there is nothing at the path, or an empty folder.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return _digest_of_file(path)
    names = sorted(_visible(path))
    if not names:
        raise FileNotFoundError(
            f"Weights need files; the folder {path} has none. Correct weights.path."
        )
    total = hashlib.sha256()
    for name in names:
        total.update(f"{name}\0{_digest_of_file(path / name)}\n".encode())
    return total.hexdigest()


def _visible(folder: Path) -> list[str]:
    # Links are followed, for what is read through them is part of the weights.
    names = [
        (Path(place) / file).relative_to(folder)
        for place, _, files in os.walk(folder, followlinks=True)
        for file in files
    ]
    return [
        name.as_posix()
        for name in names
        if not any(part.startswith(".") for part in name.parts)
    ]


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
