import io
from collections.abc import Callable
from typing import BinaryIO

import pytest

from infra.s3_reader import buffered_reader

AT_ONCE = 8 << 20
WHOLE = bytes(range(256)) * (AT_ONCE // 100)


@pytest.fixture
def fetched() -> list[tuple[int, int]]:
    """Offset and length of every fetch."""
    return []


@pytest.fixture
def file(fetched: list[tuple[int, int]]) -> BinaryIO:
    def fetch(offset: int, length: int) -> bytes:
        fetched.append((offset, length))
        return WHOLE[offset : offset + length]

    return buffered_reader(fetch, len(WHOLE))


def test_small_reads_one_after_another_are_few_fetches(
    file: BinaryIO, fetched: list[tuple[int, int]]
) -> None:
    read = b"".join(iter(lambda: file.read(512), b""))

    assert read == WHOLE
    assert len(fetched) == len(WHOLE) // AT_ONCE + 1
    assert sum(length for _, length in fetched) == len(WHOLE)


def test_the_whole_is_one_fetch(file: BinaryIO, fetched: list[tuple[int, int]]) -> None:
    assert file.read() == WHOLE
    assert fetched == [(0, len(WHOLE))]


def test_what_is_skipped_is_not_fetched(
    file: BinaryIO, fetched: list[tuple[int, int]]
) -> None:
    file.seek(-1000, io.SEEK_END)
    assert file.read(10) == WHOLE[-1000:-990]
    assert fetched == [(len(WHOLE) - 1000, 1000)]


@pytest.mark.parametrize(
    "move",
    [
        lambda file: file.seek(3),
        lambda file: file.seek(5) and file.seek(7, io.SEEK_CUR),
        lambda file: file.seek(-2, io.SEEK_END),
        lambda file: file.seek(10, io.SEEK_END),
        lambda file: file.read(5) and file.seek(-5, io.SEEK_CUR),
        lambda file: file.read(5) and file.seek(2 * AT_ONCE) and file.seek(1),
    ],
)
def test_it_moves_and_reads_like_bytes_in_memory(
    file: BinaryIO, move: Callable[[BinaryIO], object]
) -> None:
    memory = io.BytesIO(WHOLE)
    for one in (file, memory):
        move(one)
    assert file.tell() == memory.tell()
    assert [file.read(n) for n in (1, 0, AT_ONCE + 1)] == [
        memory.read(n) for n in (1, 0, AT_ONCE + 1)
    ]
    assert file.read() == memory.read()


def test_a_place_before_the_start_is_refused(file: BinaryIO) -> None:
    with pytest.raises(OSError, match="at least 0"):
        file.seek(-len(WHOLE) - 1, io.SEEK_END)
