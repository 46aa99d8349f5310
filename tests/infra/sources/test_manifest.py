import hashlib
import json
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.local_store import LocalStore
from infra.sources.class_folders import ClassFolders
from infra.sources.manifest import MANIFEST, Manifest, manifest_bytes
from infra.sources.webdataset import WebDataset
from infra.tables import from_bytes, to_bytes

CONTENTS = {"a": b"one", "b": b"three", "c": b"five5"}
LABELS = {"a": 2, "b": 0, "c": 2}


def rows_of(source: Any, sizes: Sequence[int] = (3, 3)) -> list[dict[str, Any]]:
    """Return a manifest's rows for images that hold ``CONTENTS``."""
    rows = []
    for entry in source.entries():
        at = source.locate(entry)
        content = CONTENTS[entry.key]
        rows.append(
            {
                "key": entry.key,
                "label": entry.label,
                "uri": at.uri,
                "offset": at.offset,
                "length": at.length,
                "sha256": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                "width": sizes[0],
                "height": sizes[1],
                "where": json.dumps(entry.where),
            }
        )
    return rows


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Return a folder of three images by class, and their manifest beside it."""
    for key, content in CONTENTS.items():
        path = tmp_path / "set" / str(LABELS[key]) / f"{key}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    source = ClassFolders(path=f"{tmp_path}/set", dataset="three")
    table = pa.Table.from_pylist(rows_of(source), MANIFEST)
    (tmp_path / "three.parquet").write_bytes(manifest_bytes(table, source)[0])
    return tmp_path / "set"


@pytest.fixture
def manifest(folders: Path) -> Manifest:
    return Manifest(path=f"{folders.parent}/three.parquet")


def test_images_come_back_in_the_order_asked_for(manifest: Manifest) -> None:
    entries = manifest.entries()
    assert [(e.key, e.label) for e in entries] == [("b", 0), ("a", 2), ("c", 2)]
    assert manifest.read(entries) == [b"three", b"one", b"five5"]
    assert manifest.read(entries[::-1]) == [b"five5", b"one", b"three"]


def test_digests_are_known_before_an_image_is_read(manifest: Manifest) -> None:
    for entry in manifest.entries():
        assert entry.sha256 == hashlib.sha256(CONTENTS[entry.key]).hexdigest()


def test_listing_reads_the_manifest_and_nothing_else(
    manifest: Manifest, folders: Path
) -> None:
    folders.rename(folders.parent / "gone")
    assert len(manifest.entries()) == 3
    assert manifest.name == "three"
    assert Manifest(path=manifest.path, dataset="mine").name == "mine"


def test_a_manifest_may_lie_elsewhere_and_be_read_from_there(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    Path(manifest.path).rename(tmp_path / "other" / "moved.parquet")
    monkeypatch.chdir(tmp_path / "other")
    moved = Manifest(path="moved.parquet")
    assert moved.read(moved.entries()) == [b"three", b"one", b"five5"]


def test_entries_travel_to_workers_without_the_manifest(manifest: Manifest) -> None:
    entries = manifest.entries()
    os.unlink(manifest.path)
    there, others = pickle.loads(pickle.dumps((manifest, entries)))
    assert there.read(others) == [b"three", b"one", b"five5"]


def test_byte_ranges_are_read_without_the_layout(
    put: Callable[..., Path],
    tar: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members = [
        (f"{key}.{kind}", content)
        for key in CONTENTS
        for kind, content in (("jpg", CONTENTS[key]), ("cls", b"%d" % LABELS[key]))
    ]
    path = put(tmp_path / "shard.tar", tar(members))
    source = WebDataset(path=str(path), dataset="three")
    table = pa.Table.from_pylist(rows_of(source), MANIFEST)
    put(tmp_path / "three.parquet", manifest_bytes(table, source)[0])
    manifest = Manifest(path=f"{tmp_path}/three.parquet")
    entries = manifest.entries()
    monkeypatch.setattr(WebDataset, "read", None)
    monkeypatch.setattr(LocalStore, "read", None)
    assert manifest.read(entries[::-1]) == [b"five5", b"three", b"one"]
    path.write_bytes(b"\0" + path.read_bytes())
    with pytest.raises(ValueError, match=r"unchanged; 'a' in .*shard\.tar has SHA-256"):
        manifest.read(entries[:1])


@pytest.mark.parametrize("content", [b"onE", b"on", b""])
def test_an_image_that_changed_on_disk_is_refused_by_name(
    manifest: Manifest, folders: Path, content: bytes
) -> None:
    entries = manifest.entries()
    (folders / "2" / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"unchanged; 'a' in .*2/a\.png has SHA-256"):
        manifest.read(entries)


def test_an_image_that_is_gone_is_told(manifest: Manifest, folders: Path) -> None:
    entries = manifest.entries()
    (folders / "2" / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        manifest.read(entries)


@pytest.mark.parametrize(
    ("column", "value"), [("label", 1), ("sha256", "0" * 64), ("uri", "/elsewhere")]
)
def test_a_manifest_that_somebody_changed_is_refused(
    manifest: Manifest, column: str, value: Any
) -> None:
    table, facts = from_bytes(Path(manifest.path).read_bytes(), "three")
    rows = table.to_pylist()
    rows[1][column] = value
    changed = to_bytes(pa.Table.from_pylist(rows, MANIFEST), facts)
    Path(manifest.path).write_bytes(changed)
    with pytest.raises(ValueError, match="has other rows than its digest"):
        manifest.entries()


def test_a_manifest_of_rows_in_another_order_is_another_one(folders: Path) -> None:
    source = ClassFolders(path=str(folders), dataset="three")
    rows = rows_of(source)
    digests = [
        manifest_bytes(pa.Table.from_pylist(order, MANIFEST), source)[1]
        for order in (rows, rows[::-1], rows_of(source, sizes=(4, 3)))
    ]
    assert len(set(digests)) == 3


def test_another_table_is_refused_with_its_columns(
    put: Callable[..., Path], tmp_path: Path
) -> None:
    path = put(tmp_path / "a.parquet", to_bytes(pa.table({"image_key": ["a"]}), {}))
    with pytest.raises(ValueError, match=r"a\.parquet has image_key"):
        Manifest(path=str(path)).entries()


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*none\.parquet"):
        Manifest(path=f"{tmp_path}/none.parquet").entries()


def test_a_layout_of_another_version_is_refused(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, _ = from_bytes(Path(manifest.path).read_bytes(), "three")
    layout = ClassFolders(path="/set", dataset="three")
    described = '{"source":"class_folders","path":"/set","kind":"new"}'
    monkeypatch.setattr(ClassFolders, "model_dump_json", lambda _: described)
    Path(manifest.path).write_bytes(manifest_bytes(table, layout)[0])
    with pytest.raises(ValueError, match=r"a layout that this version knows; .*new"):
        manifest.entries()
