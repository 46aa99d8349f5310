"""Named contents in a local folder or under a prefix of an S3 bucket."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from infra.local_store import LocalStore, is_temporary


@dataclass(frozen=True)
class S3Store:
    """Named contents under one prefix of a bucket; picklable, holds no credentials.

    Credentials, region and endpoint come from the usual AWS environment
    (``AWS_ACCESS_KEY_ID``, ``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, ...) of the process
    that uses it.
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
        """Open one content for reading at any offset.

        Raises:
            FileNotFoundError: there is no such name.
        """
        return self._files().open(self._path(name), "rb")

    def read(self, name: str) -> bytes:
        """Return one content.

        Raises:
            FileNotFoundError: there is no such name.
        """
        return self._files().cat_file(self._path(name))

    def write(self, name: str, data: bytes) -> None:
        """Put a content under a name, in place of what was there, in one piece."""
        self._files().pipe_file(self._path(name), data)

    def write_once(self, name: str, data: bytes) -> bool:
        """Put a content under a name unless something is there already.

        Asks the server to create and not to replace (``If-None-Match: *``). Servers
        refuse in different ways, so after any refusal what counts is whether the name
        is there.

        Returns:
            Whether this call wrote it.

        Raises:
            OSError: it was not written and is not there.
        """
        try:
            self._files().pipe_file(self._path(name), data, mode="create")
        except OSError:
            if self.exists(name):
                return False
            raise
        return True

    def names(self, prefix: str = "") -> list[str]:
        """Return all names that begin with a prefix, sorted, without half-written ones.

        Args:
            prefix: text the name begins with; ``votes/`` lists a folder.
        """
        folder = prefix.rpartition("/")[0]
        found = self._files().find(self._path(folder))
        names = (path.removeprefix(f"{self.root}/") for path in found)
        return sorted(
            name for name in names if name.startswith(prefix) and not is_temporary(name)
        )

    def exists(self, name: str) -> bool:
        """Return whether something is there under a name."""
        return self._files().exists(self._path(name))

    def require_writable(self) -> None:
        """Refuse a prefix under which nothing can be written and removed again.

        Raises:
            ValueError: the bucket is missing, unreachable or read-only.
        """
        # Deferred like s3fs itself, which raises it without credentials or route.
        from botocore.exceptions import BotoCoreError

        probe = f".probe-{uuid.uuid4().hex}.tmp"
        try:
            self.write(probe, b"")
            self._files().rm_file(self._path(probe))
        except (OSError, BotoCoreError) as error:
            raise ValueError(
                f"A run needs a place it can write; {self.url} answers {error}. "
                f"Choose another place, or mend the bucket's permissions or "
                f"AWS_ENDPOINT_URL."
            ) from error

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def _files(self) -> Any:
        """Return the client, which has no types; fsspec keeps one per process."""
        import s3fs

        return s3fs.S3FileSystem(use_listings_cache=False)


Store = LocalStore | S3Store


def open_store(uri: str | Path) -> Store:
    """Return the store at a place; nothing is read or written yet.

    Args:
        uri: local path, ``file://`` path or ``s3://bucket/prefix``.

    Raises:
        ValueError: another scheme, or no bucket.
    """
    scheme, mark, rest = str(uri).partition("://")
    if not mark or scheme == "file":
        return LocalStore(Path(rest if mark else scheme).expanduser().absolute())
    if scheme != "s3" or not rest.strip("/"):
        raise ValueError(
            f"A place needs to be a local path or s3://bucket/prefix; it is {uri!s}. "
            f"Name one of these."
        )
    return S3Store(rest.strip("/"))
