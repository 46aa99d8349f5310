"""Where the rows of an array in an ``.npz`` file lie, without loading the array."""

import struct
import zipfile
from dataclasses import dataclass
from typing import IO, BinaryIO

import numpy as np

_ZIP_HEAD = 30
"""Bytes of a member's head before its name."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a C-ordered array."""

    shape: tuple[int, ...]
    """Of the array."""

    dtype: np.dtype
    """Of the array."""

    offset: int | None
    """First byte of the first row in the file; ``None`` where it is compressed."""


def find_rows(file: BinaryIO, array: str, where: str) -> Rows:
    """Return where the rows of an array lie.

    Args:
        file: the ``.npz`` file.
        array: name of the array.
        where: what to call the file in an error.

    Raises:
        ValueError: it is no such file, has no such array, or one in Fortran order.
    """
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{array}.npy") as member:
            shape, fortran, dtype = _read_head(member)
            head_bytes = member.tell()
            info = archive.getinfo(f"{array}.npy")
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise _no_array(where, array, str(error)) from error
    if fortran:
        raise _no_array(where, array, "columns side by side, not rows")
    if info.compress_type != zipfile.ZIP_STORED:
        return Rows(shape, dtype, None)
    file.seek(info.header_offset)
    name_bytes, extra_bytes = struct.unpack("<26xHH", file.read(_ZIP_HEAD))
    start = info.header_offset + _ZIP_HEAD + name_bytes + extra_bytes
    return Rows(shape, dtype, start + head_bytes)


def load_array(file: BinaryIO, array: str, where: str) -> np.ndarray:
    """Return a whole array; pickled objects are refused.

    Args:
        file: the ``.npz`` file.
        array: name of the array.
        where: what to call the file in an error.

    Raises:
        ValueError: it is no such file, or has no such array of numbers.
    """
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{array}.npy") as member:
            return np.lib.format.read_array(member, allow_pickle=False)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise _no_array(where, array, str(error)) from error


def _read_head(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    return np.lib.format.read_array_header_2_0(member)


def _no_array(where: str, array: str, reason: str) -> ValueError:
    return ValueError(
        f"An .npz file needs the array {array!r} as plain numbers; {where} has: "
        f"{reason}. Fetch it again, or save it with numpy.savez from numbers; "
        f"pickled objects are never loaded."
    )
