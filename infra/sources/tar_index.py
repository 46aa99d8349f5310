"""Where the members of a tar file lie, without unpacking it."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK = tarfile.BLOCKSIZE
_READ_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a tar file."""

    name: str
    """Path inside, with slashes, without a leading ``./``."""

    offset: int
    """First byte of its content, from the start of the tar file."""

    size: int
    """Bytes of its content."""


def tar_members(file: BinaryIO, where: str) -> Iterator[Member]:
    """Yield the files of an uncompressed tar file in their order.

    Args:
        file: the tar file; may be read elsewhere between two members.
        where: what to call it in an error.

    Raises:
        ValueError: it is no tar file, it is cut off, a member's head is damaged, or
            something follows its end, such as a second tar file.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.isreg():
                    name = member.name.removeprefix("./")
                    yield Member(name, member.offset_data, member.size)
            end = tar.offset
    except tarfile.TarError as error:
        raise _damaged(where, str(error)) from error
    _check_end(file, end, where)


def _check_end(file: BinaryIO, end: int, where: str) -> None:
    """Refuse a tar file whose members do not stop with the mark of its end.

    ``tarfile`` takes a damaged head for the end, and a missing mark for none.
    """
    file.seek(end)
    if len(file.read(_BLOCK)) < _BLOCK:
        raise _damaged(where, f"ends at byte {end} without its end mark")
    file.seek(end)
    while part := file.read(_READ_AT_ONCE):
        if part.strip(b"\0"):
            raise _damaged(where, f"something that is no member from byte {end} on")


def _damaged(where: str, reason: str) -> ValueError:
    return ValueError(
        f"A shard needs to be one whole, uncompressed tar file; {where} has: {reason}. "
        f"Fetch it again."
    )
