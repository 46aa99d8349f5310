"""What identifies weights: the sha256 of their bytes."""

import hashlib
from pathlib import Path


def digest(path: str | Path) -> str:
    """Return the sha256 of a file, or of a folder's files and their names.

    Hidden files are left out, so that a download tool's notes change nothing.

    Args:
        path: file or folder.

    Returns:
        64 hexadecimal digits.

    Raises:
        FileNotFoundError: there is nothing at the path.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return _digest_of_file(path)
    total = hashlib.sha256()
    for name in sorted(_visible(path)):
        total.update(f"{name}\0{_digest_of_file(path / name)}\n".encode())
    return total.hexdigest()


def _visible(folder: Path) -> list[str]:
    names = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return [
        name.as_posix()
        for name in names
        if not any(part.startswith(".") for part in name.parts)
    ]


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
