"""One at a time, across the processes of a machine."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock that no other process holds; wait for it if need be.

    The system frees it when its holder ends, however it ends. On a mounted file system
    it also holds across machines if the mount supports locks.

    Args:
        path: file that stands for the lock; made if missing, and left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
