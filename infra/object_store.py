"""Named contents in a local folder or under a prefix of an S3 bucket."""

import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from infra.local_store import LocalStore, parquet_file, whole_part
from infra.s3_clients import s3_clients
from infra.s3_errors import cut_off_errors, is_past_end, may_be_taken, told
from infra.s3_reader import buffered_reader
from infra.temporaries import is_old, is_temporary

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_BODIES = 3
"""Times an answer is asked for again whose body breaks off."""

_PROBE = ".probe-"
"""Begins the name of what is written only to see whether it can be."""


@dataclass(frozen=True)
class S3Store:
    """Named contents under one prefix of a bucket; picklable, holds no credentials.

    Endpoint, region and credentials come from the usual AWS environment of the process
    that uses it (``docs/storage.md``). Beside what a method names, each raises
    PermissionError without credentials that may do it, ConnectionError if no server
    answers, ValueError if there is no such bucket, and OSError if the server fails
    after every attempt.
    """

    root: str
    """Bucket and prefix, ``bucket/prefix`` without slashes at the ends."""

    local_path: None = None
    """There is no local folder."""

    @property
    def url(self) -> str:
        """The prefix as text, to print and to open again."""
        return f"s3://{self.root}"

    def open(self, name: str) -> BinaryIO:
        """Open one content for reading at any offset, 8 MiB at a time.

        Raises:
            FileNotFoundError: there is no such name.
        """
        with told(self._url(name)):
            found = s3_clients().files.info(self._path(name))
            if found["type"] != "file":
                raise FileNotFoundError(name)
        return buffered_reader(partial(self.read_range, name), found["size"])

    def open_parquet(self, name: str) -> "ParquetFile":
        """Open a Parquet file of which only the parts that are asked for are fetched.

        Raises:
            FileNotFoundError: there is no such name.
            ValueError: it is no Parquet file.
        """
        url, path = self._url(name), self._path(name)
        with told(url):
            files = s3_clients().arrow(self.root.partition("/")[0])
            return parquet_file(path, url, filesystem=files)

    def read(self, name: str) -> bytes:
        """Return one content.

        Raises:
            FileNotFoundError: there is no such name.
        """
        with told(self._url(name)):
            return self._get(name)

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Return a part of one content, in one request.

        Args:
            name: of the content.
            offset: first byte, from 0.
            length: bytes, at least 0.

        Raises:
            FileNotFoundError: there is no such name.
            ValueError: the content ends before the part does.
        """
        if length == 0:
            return b""
        with told(self._url(name)):
            try:
                part = self._get(name, offset, offset + length)
            except OSError as refusal:
                if not is_past_end(refusal):
                    raise
                part = b""
        return whole_part(part, self._url(name), offset, length)

    def write(self, name: str, data: bytes) -> None:
        """Put a content under a name, in place of what was there, in one piece."""
        with told(self._url(name)):
            s3_clients().files.pipe_file(self._path(name), data)

    def write_once(self, name: str, data: bytes) -> bool:
        """Put a content under a name unless something is there already.

        Asks the server to create and not to replace (``If-None-Match: *``). Servers
        refuse in different ways, so after any such refusal what counts is whether the
        name is there.

        Returns:
            Whether this call wrote it. An answer that was lost on the way makes it
            ``False`` too: the repeated request then meets its own content.

        Raises:
            OSError: it was not written and is not there.
        """
        path = self._path(name)
        with told(self._url(name)):
            files = s3_clients().files
            try:
                files.pipe_file(path, data, mode="create")
            except OSError as refusal:
                if not (may_be_taken(refusal) and files.exists(path)):
                    raise
                return False
        return True

    def names(self, prefix: str = "") -> list[str]:
        """Return all names that begin with a prefix, sorted, without half-written ones.

        Args:
            prefix: text the name begins with; ``votes/`` lists a folder.
        """
        with told(self._url(prefix)):
            found = s3_clients().files.find(self.root, prefix=prefix)
        # A folder may have an object of its own, whose name ends with a slash.
        inside = [path for path in found if path.startswith(f"{self.root}/{prefix}")]
        names = (path.removeprefix(f"{self.root}/") for path in inside)
        return sorted(
            name for name in names if not (name.endswith("/") or is_temporary(name))
        )

    def remove(self, name: str) -> None:
        """Remove one content; nothing changes if it is gone already."""
        with told(self._url(name)):
            s3_clients().files.rm_file(self._path(name))

    def sweep(self, prefix: str = "") -> int:
        """Remove what a killed :meth:`require_writable` left, once it is a day old.

        Contents are put whole, so nothing else is ever half-written; a living writer's
        probe is there for seconds.

        Args:
            prefix: text before the probe's own name; empty for those of a run.

        Returns:
            How many were removed.
        """
        with told(self._url(prefix)):
            files = s3_clients().files
            found = files.find(self.root, prefix=f"{prefix}{_PROBE}", detail=True)
            times = {p: facts["LastModified"].timestamp() for p, facts in found.items()}
            old = [p for p in times if is_temporary(p) and is_old(times[p])]
            for path in old:
                files.rm_file(path)
        return len(old)

    def exists(self, name: str) -> bool:
        """Return whether something is there under a name."""
        try:
            with told(self._url(name)):
                s3_clients().files.info(self._path(name))
        except FileNotFoundError:
            return False
        return True

    def require_writable(self) -> None:
        """Refuse a prefix under which contents cannot be written once and removed.

        Raises:
            ValueError: the bucket is missing, unreachable or read-only, or the server
                replaces what it is asked to create.
        """
        probe = f"{_PROBE}{uuid.uuid4().hex}.tmp"
        try:
            once = [self.write_once(probe, b"") for _ in range(2)]
            self.remove(probe)
        except (OSError, ValueError) as error:
            raise ValueError(f"A run needs a place it can write. {error}") from error
        if once != [True, False]:
            raise ValueError(
                f"A run needs a place that keeps what was written once; the server of "
                f"{self.url} replaces it although asked not to (If-None-Match). Choose "
                f"a server that knows conditional writes, or a folder."
            )

    def _get(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> bytes:
        """Return a content or a part of it, asked for again if it breaks off."""
        files, cut_off = s3_clients().files, cut_off_errors()
        path = self._path(name)
        get = partial(files.cat_file, path, start=start, end=end, max_concurrency=1)
        for _ in range(_BODIES - 1):
            with suppress(*cut_off):
                return get()
        return get()

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def _url(self, name: str) -> str:
        return f"s3://{self._path(name)}"


Store = LocalStore | S3Store


def open_store(uri: str | Path) -> Store:
    """Return the store at a place; nothing is read or written yet.

    Args:
        uri: local path, ``file://`` path or ``s3://bucket/prefix``.

    Raises:
        ValueError: another scheme, no bucket, or credentials in the URI.
    """
    scheme, mark, rest = str(uri).partition("://")
    if not mark or scheme == "file":
        return LocalStore(Path(rest if mark else scheme).expanduser().absolute())
    bucket = rest.strip("/").partition("/")[0]
    if "@" in bucket:
        raise ValueError(
            "A place in an object store needs to be s3://bucket/prefix without a user "
            "in it; the one given has one. Take it out, and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        )
    if scheme != "s3" or not bucket:
        raise ValueError(
            f"A place needs to be a local path or s3://bucket/prefix; it is {uri!s}. "
            f"Name one of these."
        )
    return S3Store(rest.strip("/"))
