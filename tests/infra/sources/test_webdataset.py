import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.local_store import LocalStore
from infra.sources.webdataset import WebDataset

Members = Sequence[tuple[str, bytes]]
GOOD: Members = [("a.jpg", b"one"), ("a.cls", b"3"), ("b.png", b"two"), ("b.cls", b"4")]


@pytest.fixture
def shard(
    put: Callable[..., Path], tar: Callable[[Members], bytes], tmp_path: Path
) -> Callable[..., str]:
    """Return what writes one shard and returns its path."""

    def write(members: Members, name: str = "shard-00.tar") -> str:
        return str(put(tmp_path / name, tar(members)))

    return write


def labels(path: str, **fields: Any) -> dict[str, int]:
    source = WebDataset.model_validate({"path": path, **fields})
    return {entry.key: entry.label for entry in source.entries()}


def test_key_label_and_bytes_come_back_in_the_order_of_the_shard(
    shard: Callable[..., str],
) -> None:
    source = WebDataset(path=shard([*GOOD[2:], *GOOD[:2]]))
    entries = source.entries()
    assert [(entry.key, entry.label) for entry in entries] == [("b", 4), ("a", 3)]
    assert source.read(entries) == [b"two", b"one"]
    assert source.read(entries[::-1]) == [b"one", b"two"]


def test_an_image_is_read_by_its_range_and_no_more(
    shard: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = WebDataset(path=shard(GOOD))
    entries = source.entries()
    monkeypatch.setattr(LocalStore, "read", None)
    monkeypatch.setattr(LocalStore, "open", None)
    assert source.read(entries) == [b"one", b"two"]


@pytest.mark.parametrize("pattern", ["", "shard-*.tar", "shard-{00..01}.tar"])
def test_shards_come_in_the_order_of_their_names(
    shard: Callable[..., str], tmp_path: Path, pattern: str
) -> None:
    shard(GOOD[2:], "shard-01.tar")
    shard(GOOD[:2], "shard-00.tar")
    assert list(labels(f"{tmp_path}/{pattern}")) == ["a", "b"]


def test_a_shard_that_numbers_name_and_that_is_missing_is_refused(
    shard: Callable[..., str], tmp_path: Path
) -> None:
    shard(GOOD)
    with pytest.raises(ValueError, match=r"1 of 2 are not there, .*'shard-01.tar'"):
        labels(f"{tmp_path}/shard-{{00..01}}.tar")


def test_a_key_is_the_member_up_to_the_first_dot(shard: Callable[..., str]) -> None:
    members = [
        ("./val/a.seg.png", b"mask"),
        ("./val/a.JPEG", b"x"),
        ("./val/a.cls", b" 7\n"),
        ("val/ILSVRC2012_val_00000001.cls", b"0"),
        ("val/ILSVRC2012_val_00000001.jpeg", b"y"),
        ("val/README.txt", b"no image"),
    ]
    assert labels(shard(members)) == {"val/a": 7, "ILSVRC2012_val_00000001": 0}


def test_missing_classes_are_reported(
    shard: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        labels(shard(GOOD), num_classes=6)
    assert "no image of 4 of its 6 classes: 0, 1, 2, 5" in caplog.text


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([GOOD[0], GOOD[2], GOOD[1], GOOD[3]], "key 'a' has 0, beside .jpg"),
        ([*GOOD, ("a.json", b"{}")], "shard-00.tar has 'a' in two places"),
        ([GOOD[0]], "ends in .cls for each key; .* key 'a' has 0"),
        ([GOOD[1]], "ends in .jpg, .jpeg, .png for each key; .* has 0, beside .cls"),
        ([*GOOD[:2], ("a.png", b"")], "key 'a' has 2, beside .cls, .jpg, .png"),
        ([GOOD[0], ("a.cls", b"-1")], r"key 'a' has -1 \(the unlabelled test split"),
        ([GOOD[0], ("a.cls", b"1000")], r"labels in \[0, 1000\); .* has 1000"),
        ([GOOD[0], ("a.cls", b"cat")], "key 'a' has b'cat'"),
        ([("a.cls", b"\x00\x01"), GOOD[0]], "as text in .cls; .* key 'a'"),
        ([("readme.txt", b"")], "needs images"),
    ],
)
def test_a_shard_that_does_not_fit_is_refused_by_name(
    shard: Callable[..., str], members: Members, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        labels(shard(members))


def test_one_key_in_two_shards_is_refused(
    shard: Callable[..., str], tmp_path: Path
) -> None:
    shard(GOOD, "shard-00.tar")
    shard(GOOD[:2], "shard-01.tar")
    with pytest.raises(ValueError, match="'a' 2 times"):
        labels(str(tmp_path))


def test_a_folder_without_shards_is_refused_with_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs \.tar files .* has none"):
        labels(str(tmp_path))
