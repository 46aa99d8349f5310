"""A folder or a bucket as Arrow sees it, for libraries that write there themselves."""

from pathlib import Path
from typing import TYPE_CHECKING

from infra.object_store import S3Store, open_store
from infra.s3_clients import s3_clients

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


def filesystem_of(uri: str | Path) -> "tuple[FileSystem, str]":
    """Return Arrow's file system of a place, and the place's path on it.

    Args:
        uri: local path, ``file://`` path or ``s3://bucket/prefix``.

    Raises:
        ValueError: another scheme, no bucket, or settings that cannot be used.
    """
    # Deferred: it takes a while, and most of what imports this reads and writes less.
    from pyarrow.fs import LocalFileSystem

    store = open_store(uri)
    if isinstance(store, S3Store):
        return s3_clients().arrow(store.root.partition("/")[0]), store.root
    return LocalFileSystem(), str(store.local_path)
