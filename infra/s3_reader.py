"""Reading on from any byte of an object, a large part at a time."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BYTES_AT_ONCE = 8 << 20


def buffered_reader(read_range: Callable[[int, int], bytes], size: int) -> BinaryIO:
    """Return a file over something of which parts can be fetched.

    Args:
        read_range: returns the bytes from an offset on, as many as asked for.
        size: bytes in all.
    """
    return cast(
        BinaryIO, io.BufferedReader(_RangeReader(read_range, size), _BYTES_AT_ONCE)
    )


class _RangeReader(io.RawIOBase):
    """A file of which every read is one fetch."""

    def __init__(self, read_range: Callable[[int, int], bytes], size: int) -> None:
        self._read_range, self._size, self._at = read_range, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}
        at = start[whence] + offset
        if at < 0:
            raise OSError(f"A file needs a position of at least 0; {at} is asked for.")
        self._at = at
        return at

    def readall(self) -> bytes:
        # The one that is inherited fetches 8 KiB at a time.
        rest = max(0, self._size - self._at)
        self._at += rest
        return self._read_range(self._size - rest, rest) if rest else b""

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        target = memoryview(buffer).cast("B")
        length = max(0, min(len(target), self._size - self._at))
        if length:
            target[:length] = self._read_range(self._at, length)
            self._at += length
        return length
