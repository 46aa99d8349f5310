import hashlib
import io
import logging
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pipelines.ingest
from infra.images import decode
from infra.object_store import open_store
from infra.sources.class_folders import ClassFolders
from infra.sources.content import digest
from infra.sources.manifest import Manifest
from infra.tables import from_bytes
from pipelines.certificates import certify_votes
from pipelines.decode import DecodeUnits, entry_digests
from pipelines.identity import vote_identity
from pipelines.ingest import ingest
from pipelines.ledger import vote_metadata
from pipelines.reading import reading_of
from pipelines.recipe import Run
from pipelines.set_aside import SetAside
from pipelines.units import Unit, missing_jobs, nothing_voted
from pipelines.vote_rows import read_all_votes


def png(width: int, height: int, grey: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (grey, grey, grey)).save(file, "PNG")
    return file.getvalue()


def rows_of(manifest: str) -> list[dict[str, Any]]:
    return from_bytes(Path(manifest).read_bytes(), manifest)[0].to_pylist()


def test_a_manifest_says_of_every_image_what_is_true(
    folders: Path, tmp_path: Path
) -> None:
    made = ingest(str(folders), "class_folders", [], f"{tmp_path}/all.parquet")

    rows = rows_of(made.manifest)
    assert [(row["key"], row["label"]) for row in rows] == [
        ("a", 0),
        ("b", 1),
        ("c", 1),
        ("d", 3),
    ]
    for row in rows:
        content = Path(row["uri"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert row["size"] == len(content)
        assert (row["offset"], row["length"]) == (None, None)
    sizes = [(row["width"], row["height"]) for row in rows]
    assert sizes == [(5, 3), (8, 8), (None, None), (5, 3)]


def test_the_summary_counts_and_warns(
    folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = ingest(
        str(folders), "class_folders", ["dataset=mine"], f"{tmp_path}/all.parquet"
    )

    total = sum(path.stat().st_size for path in folders.glob("*/*"))
    assert (made.num_images, made.num_bytes, made.num_classes) == (4, total, 4)
    assert made.dataset == Manifest(path=made.manifest).name == "mine"
    assert made.warnings == [
        "Classes without an image: 1 of 4, 2.",
        "Images that cannot be decoded, which count as not certified: 1 of 4, c.",
        "Images with the bytes of another one: 1 of 4.",
    ]
    assert "Image 'c' cannot be decoded: no format that Pillow knows." in caplog.text
    assert made.seconds > 0


def test_a_manifest_gives_the_digests_that_reading_would(
    folders: Path, tmp_path: Path
) -> None:
    made = ingest(str(folders), "class_folders", [], f"{tmp_path}/all.parquet")

    source = ClassFolders(path=str(folders))
    known = {e.key: e.sha256 for e in Manifest(path=made.manifest).entries()}
    assert known == entry_digests(source, source.entries())


def test_relative_places_mean_the_same_from_elsewhere(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = ingest("set", "class_folders", [], "all.parquet")

    monkeypatch.chdir("/")
    manifest = Manifest(path=made.manifest)
    contents = manifest.read(manifest.entries())
    assert contents == [path.read_bytes() for path in sorted(folders.glob("*/*"))]


def test_the_same_files_give_the_same_digest(folders: Path, tmp_path: Path) -> None:
    made = [
        ingest(str(folders), "class_folders", [], f"{tmp_path}/{name}.parquet")
        for name in ("one", "two")
    ]
    assert made[0].digest == made[1].digest
    one, two = (Path(m.manifest).read_bytes() for m in made)
    assert one == two
    (folders / "0" / "a.png").write_bytes(png(5, 3, 1))
    other = ingest(str(folders), "class_folders", [], f"{tmp_path}/three.parquet")
    assert other.digest != made[0].digest


def test_members_of_a_shard_are_named_by_their_bytes(tmp_path: Path) -> None:
    contents = {f"k{index}": png(4 + index, 4) for index in range(3)}
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for key, content in contents.items():
            for name, data in ((f"{key}.png", content), (f"{key}.cls", b"1")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    settings = ["num_classes=2"]
    made = ingest(
        f"{tmp_path}/shard.tar", "webdataset", settings, f"{tmp_path}/m.parquet"
    )

    shard = (tmp_path / "shard.tar").read_bytes()
    for row in rows_of(made.manifest):
        assert row["uri"] == f"{tmp_path}/shard.tar"
        end = row["offset"] + row["length"]
        assert shard[row["offset"] : end] == contents[row["key"]]


def test_pixels_without_an_encoding_come_back_by_a_manifest(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), np.uint8)
    records = b"".join(bytes([4]) + image.tobytes() for image in pixels)
    (tmp_path / "test_batch.bin").write_bytes(records)
    made = ingest(str(tmp_path), "cifar10_binary", [], f"{tmp_path}/m.parquet")

    manifest = Manifest(path=made.manifest)
    entries = manifest.entries()
    for entry, image, stored in zip(
        entries, manifest.read(entries), pixels, strict=True
    ):
        assert np.array_equal(image, stored.transpose(1, 2, 0))
        assert entry.sha256 == digest(image)
        assert decode(image, "none", key=entry.key).shape == (3, 32, 32)
    assert {(row["width"], row["height"]) for row in rows_of(made.manifest)} == {
        (32, 32)
    }
    assert {row["offset"] for row in rows_of(made.manifest)} == {None}


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many" / "0"
    folder.mkdir(parents=True)
    for index in range(300):
        (folder / f"{index:03d}.png").write_bytes(png(1, 1, index % 256))
    return folder.parent


def test_many_readers_keep_the_order_and_few_images_in_memory(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines.ingest, "IMAGES_AT_ONCE", 3)
    original, lock = ClassFolders.read, threading.Lock()
    reading, most, asked = 0, 0, []

    def slow(source: ClassFolders, entries: Sequence[Any]) -> list[bytes]:
        nonlocal reading, most
        with lock:
            reading, most = reading + 1, max(most, reading + 1)
            asked.append(len(entries))
        time.sleep(0.004 if int(entries[0].key) % 2 else 0.001)
        contents = original(source, entries)
        with lock:
            reading -= 1
        return contents

    monkeypatch.setattr(ClassFolders, "read", slow)
    made = ingest(str(many), "class_folders", [], f"{tmp_path}/m.parquet")

    assert [row["key"] for row in rows_of(made.manifest)] == [
        f"{index:03d}" for index in range(300)
    ]
    assert 1 < most <= pipelines.ingest.THREADS
    assert max(asked) == 3


def test_progress_is_told_in_lines(
    many: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pipelines.ingest, "LINE_SECONDS", 0.0)
    with caplog.at_level(logging.INFO, "pipelines"):
        ingest(str(many), "class_folders", [], f"{tmp_path}/m.parquet")
    assert "300 images listed, reading them." in caplog.text
    assert "150/300 images, " in caplog.text


def test_a_broken_image_of_a_manifest_becomes_a_row_with_its_reason(
    folders: Path,
    tmp_path: Path,
    run_of: Callable[..., Run],
    aside_of: Callable[..., SetAside],
) -> None:
    made = ingest(str(folders), "class_folders", [], f"{tmp_path}/m.parquet")
    run = run_of(
        f"data={{source: manifest, path: {made.manifest}}}",
        "classifier.kind=cifar_resnet",
        "classifier.weights={untrained: 0}",
        "classifier.depth=8",
        "classifier.shortcut=A",
        "classifier.input=imagenet",
    )
    wave = nothing_voted(run.data.source.entries(), reading_of(run, 1).blocks)
    unit = Unit(tuple(missing_jobs(wave)))
    metadata = vote_metadata(vote_identity(run), {}, "four")
    out = tmp_path / "out"
    aside = aside_of(run, out, metadata)
    DecodeUnits(run.data.source, run.data.preprocess, aside).decoded(unit)

    votes = read_all_votes(open_store(out), run.sigma).rows
    certificate = certify_votes(votes, {"c": 1}, reading_of(run, 1)).to_pylist()[0]
    assert set(votes["image_key"].to_pylist()) == {"c"}
    assert set(votes["image_sha256"].to_pylist()) == {digest(b"broken")}
    assert certificate["radius"] == 0
    assert (
        "Image 'c' needs to be a file that Pillow can decode" in certificate["reason"]
    )
