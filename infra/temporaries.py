"""Names of half-written files, which say who writes, and when one is abandoned."""

import hashlib
import os
import re
import socket
import time
import uuid
from functools import lru_cache
from pathlib import Path

ABANDONED_SECONDS = 24 * 3600.0
"""Age at which a half-written file is nobody's; a write takes seconds."""

_OURS = re.compile(r"\..*[.-][0-9a-f]{32}\.tmp")
_WRITER = re.compile(r"\.(?P<machine>[^.]+)\.(?P<process>\d+)\.[0-9a-f]{32}\.tmp$")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")


def temporary_name(name: str) -> str:
    """Return a name no other writer has, ``.NAME.HOST.PID.HEX.tmp``.

    Args:
        name: of what will be whole, without a folder.
    """
    return f".{name}.{_machine()}.{os.getpid()}.{uuid.uuid4().hex}.tmp"


def is_temporary(name: str) -> bool:
    """Return whether a name is that of a half-written file."""
    file = name.rpartition("/")[2]
    return file.startswith(".") and file.endswith(".tmp")


def is_abandoned(path: Path) -> bool:
    """Return whether a file is half-written and nobody goes on writing it.

    Either its writer is a process of this machine that no longer lives, or the file has
    not grown for a day, whoever writes it. What others name like a temporary file,
    without the mark of ours, is never abandoned.

    Args:
        path: of a file.

    Raises:
        FileNotFoundError: it is gone.
    """
    if not _OURS.fullmatch(path.name):
        return False
    writer = _WRITER.search(path.name)
    if writer is not None and writer["machine"] == _machine():
        return not _lives(int(writer["process"])) or is_old(path.stat().st_mtime)
    return is_old(path.stat().st_mtime)


def is_old(changed: float) -> bool:
    """Return whether a file has not changed for a day.

    Args:
        changed: moment of the last change, in seconds since 1970.
    """
    return time.time() - changed > ABANDONED_SECONDS


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True


@lru_cache(maxsize=1)
def _machine() -> str:
    """Return the host's name and a mark within which a process number is one process.

    Containers may share a name and number their processes apart, and a machine that
    started again numbers them anew.
    """
    boot = _BOOT.read_text() if _BOOT.exists() else ""
    space = str(_PROCESSES.stat().st_ino) if _PROCESSES.exists() else ""
    mark = hashlib.blake2b(f"{boot}|{space}".encode(), digest_size=4).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9-]', '-', socket.gethostname())}-{mark}"
