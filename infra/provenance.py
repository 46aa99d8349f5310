"""What a run was made with: versions, commit and hardware."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "diffsmooth",
    "torch",
    "ray",
    "numpy",
    "scipy",
    "diffusers",
    "timm",
    "pyarrow",
)


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that decide votes.

    Returns:
        Version by name; ``None`` for a package that is not installed.
    """
    return {"python": platform.python_version()} | {
        name: _version(name) for name in _PACKAGES
    }


def commit(source: Path | None = None) -> dict[str, Any] | None:
    """Return the commit the source was checked out from.

    Args:
        source: a folder of the checkout; ``None`` for the one this file lies in.

    Returns:
        ``commit``, 40 digits, and ``dirty``, whether tracked files differ from it;
        ``None`` where the source is no checkout or git is missing.
    """
    folder = source or Path(__file__).parent
    # A checkout of something else may surround an installed package.
    if source is None and _git(folder, "ls-files", Path(__file__).name) in (None, ""):
        return None
    head = _git(folder, "rev-parse", "HEAD")
    if head is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": head, "dirty": changes != ""}


def hardware() -> dict[str, Any]:
    """Return the machine this process runs on.

    Returns:
        ``cpu`` by name, ``cores`` this process may use, ``memory_gib`` and ``gpus`` by
        name.
    """
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu(),
        "cores": _cores(),
        "memory_gib": round(memory_bytes / 2**30, 1),
        "gpus": _gpus(),
    }


def provenance() -> dict[str, Any]:
    """Return all of the above under ``versions``, ``source`` and ``hardware``."""
    return {"versions": versions(), "source": commit(), "hardware": hardware()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git answers, or None where it cannot."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _cpu() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _cores() -> int | None:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _gpus() -> list[str]:
    # Deferred: torch takes seconds to import.
    import torch

    if not torch.cuda.is_available():
        return []
    return [
        torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
    ]
