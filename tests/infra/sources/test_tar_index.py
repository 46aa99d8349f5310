import gzip
import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from infra.sources.tar_index import tar_members

Members = Sequence[tuple[str, bytes]]
MEMBERS: Members = [("a.jpg", b"one" * 300), ("b.jpg", b"two" * 300)]
HEAD, LONG = 512, 1536
"""Bytes of a member's head, and of head and content of one here."""


def listed(data: bytes) -> list[Any]:
    return list(tar_members(io.BytesIO(data), "x.tar"))


@pytest.fixture
def whole(tar: Callable[[Members], bytes]) -> bytes:
    return tar(MEMBERS)


def test_members_lie_where_it_says(whole: bytes) -> None:
    found = {m.name: whole[m.offset : m.offset + m.size] for m in listed(whole)}
    assert found == dict(MEMBERS)


def test_long_names_keep_their_place(tar: Callable[[Members], bytes]) -> None:
    members = [("folder/" * 40 + "a.jpg", b"one"), ("b.jpg", b"two")]
    data = tar(members)
    found = {m.name: data[m.offset : m.offset + m.size] for m in listed(data)}
    assert found == dict(members)


@pytest.mark.parametrize("end", [0, 100, HEAD, HEAD + 100, LONG, 2 * LONG - 300])
def test_a_tar_file_that_is_cut_off_is_refused(whole: bytes, end: int) -> None:
    with pytest.raises(ValueError, match=r"x\.tar has: .*Fetch it again"):
        listed(whole[:end])


def test_a_tar_file_cut_off_between_the_last_member_and_its_end_is_refused(
    whole: bytes,
) -> None:
    with pytest.raises(ValueError, match=f"byte {2 * LONG} without its end mark"):
        listed(whole[: 2 * LONG])


def test_a_damaged_head_is_not_taken_for_the_end(whole: bytes) -> None:
    damaged = bytearray(whole)
    damaged[LONG + 150] ^= 1  # inside the checksum of the second head
    with pytest.raises(ValueError, match=f"no member from byte {LONG} on"):
        listed(bytes(damaged))


def test_a_second_tar_file_behind_the_first_is_refused(whole: bytes) -> None:
    with pytest.raises(ValueError, match="something that is no member"):
        listed(whole + whole)


def test_a_compressed_tar_file_is_refused(whole: bytes) -> None:
    with pytest.raises(ValueError, match=r"uncompressed tar file; x\.tar has"):
        listed(gzip.compress(whole))
