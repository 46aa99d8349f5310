"""Files in a folder of this machine or of a file system that all machines mount."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pyarrow import ArrowInvalid
from pyarrow.fs import FileSystem
from pyarrow.parquet import ParquetFile

from infra.synced_files import publish_synced
from infra.temporaries import is_abandoned, is_temporary, temporary_name

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class LocalStore:
    """Named contents under one folder; a name is a path inside it, with slashes."""

    local_path: Path
    """Folder that holds the contents."""

    @property
    def url(self) -> str:
        """The folder as text, to print and to open again."""
        return str(self.local_path)

    def open(self, name: str) -> BinaryIO:
        """Open one content for reading at any offset.

        Raises:
            FileNotFoundError: there is no such name.
        """
        return (self.local_path / name).open("rb")

    def open_parquet(self, name: str) -> ParquetFile:
        """Open a Parquet file of which only the parts that are asked for are read.

        Raises:
            FileNotFoundError: there is no such name.
            ValueError: it is no Parquet file.
        """
        return parquet_file(str(self.local_path / name), f"{self.url}/{name}")

    def read(self, name: str) -> bytes:
        """Return one content.

        Raises:
            FileNotFoundError: there is no such name.
        """
        return (self.local_path / name).read_bytes()

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Return a part of one content.

        Args:
            name: of the content.
            offset: first byte, from 0.
            length: bytes, at least 0.

        Raises:
            FileNotFoundError: there is no such name.
            ValueError: the content ends before the part does.
        """
        with (self.local_path / name).open("rb") as file:
            file.seek(offset)
            return whole_part(file.read(length), f"{self.url}/{name}", offset, length)

    def write(self, name: str, data: bytes) -> None:
        """Put a content under a name, in place of what was there.

        A reader meets the old content or the new one, never a part; after the return
        the new one survives a power cut.
        """
        self._place(name, data, os.replace)

    def write_once(self, name: str, data: bytes) -> bool:
        """Put a content under a name unless something is there already.

        Of two writers at the same moment exactly one wins; the other changes nothing.

        Returns:
            Whether this call wrote it.
        """
        try:
            self._place(name, data, os.link)
        except FileExistsError:
            if not (self.local_path / name).is_file():
                raise  # a folder of the path is a file, so nothing could be written
            return False
        return True

    def names(self, prefix: str = "") -> list[str]:
        """Return all names that begin with a prefix, sorted, without half-written ones.

        Args:
            prefix: text the name begins with; ``votes/`` lists a folder.
        """
        return sorted(name for name in self._all(prefix) if not is_temporary(name))

    def remove(self, name: str) -> None:
        """Remove one content; nothing changes if it is gone already."""
        (self.local_path / name).unlink(missing_ok=True)

    def sweep(self, prefix: str = "") -> int:
        """Remove half-written files that their writers left when they were killed.

        A living writer's is never taken: it goes on writing, which keeps the file
        younger than a day, and a younger one is taken only if its process, which is
        looked for on this machine, is gone. What this user may not remove stays.

        Args:
            prefix: text the name begins with; ``votes/`` sweeps a folder.

        Returns:
            How many were removed.
        """
        removed = 0
        for name in self._all(prefix):
            path = self.local_path / name
            with suppress(FileNotFoundError, PermissionError):
                if is_temporary(name) and is_abandoned(path):
                    path.unlink()
                    removed += 1
        return removed

    def exists(self, name: str) -> bool:
        """Return whether something is there under a name."""
        return (self.local_path / name).exists()

    def require_writable(self) -> None:
        """Refuse a folder in which contents cannot be written once.

        Raises:
            ValueError: the folder cannot be made or written, or its file system has no
                hard links, which decide between two writers.
        """
        probe = temporary_name("probe")
        try:
            self.write_once(probe, b"")
            (self.local_path / probe).unlink()
        except OSError as error:
            raise ValueError(
                f"A run needs a place it can write, with hard links; {self.url} "
                f"answers {error.strerror!r}. Choose another place, or mend its "
                f"permissions."
            ) from error

    def _all(self, prefix: str) -> Iterator[str]:
        """Yield all names that begin with a prefix, half-written ones too."""
        start, _, begin = prefix.rpartition("/")
        for folder, below, files in os.walk(self.local_path / start, followlinks=True):
            inside = Path(folder).relative_to(self.local_path)
            if inside == Path(start):
                below[:] = [name for name in below if name.startswith(begin)]
            names = ((inside / file).as_posix() for file in files)
            yield from (name for name in names if name.startswith(prefix))

    def _place(
        self, name: str, data: bytes, publish: Callable[[Path, Path], None]
    ) -> None:
        """Write a temporary file beside the target and publish it under the name."""
        target = self.local_path / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            publish_synced(target, data, publish)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise OSError(
                f"A run needs room to write; {self.url} answers {error.strerror!r} to "
                f"{len(data):,} bytes. Make room there, then run the same command "
                f"again: what was written is kept."
            ) from error


def parquet_file(
    path: str, url: str, *, filesystem: FileSystem | None = None
) -> ParquetFile:
    """Return an open Parquet file.

    Args:
        path: in the file system.
        url: what to call it in an error.
        filesystem: of pyarrow; ``None`` for this machine's.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no Parquet file.
    """
    try:
        return ParquetFile(
            path,
            filesystem=filesystem,
            pre_buffer=True,
            page_checksum_verification=True,
        )
    except ArrowInvalid as error:
        raise ValueError(
            f"A data set needs whole Parquet files; {url} has: {error}. Fetch it again."
        ) from error


def whole_part(part: bytes, url: str, offset: int, length: int) -> bytes:
    """Return what was read of a content, refused if it is too short.

    Args:
        part: what was read.
        url: of the content, for the error.
        offset: first byte that was asked for.
        length: bytes that were asked for.

    Raises:
        ValueError: fewer bytes were read than were asked for.
    """
    if len(part) != length:
        raise ValueError(
            f"A byte range needs to lie inside its file; {url} has {len(part)} of the "
            f"{length} bytes from {offset} on. Index the file again: it has changed."
        )
    return part
