from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infra.object_store import open_store
from infra.sources.class_folders import ClassFolders
from infra.sources.content import digest
from infra.sources.digits import Digits
from pipelines.calls import calls
from pipelines.certificates import certify_votes
from pipelines.decode import Decoded, DecodeUnits, entry_digests
from pipelines.identity import vote_identity
from pipelines.ledger import vote_metadata
from pipelines.reading import reading_of
from pipelines.recipe import Run
from pipelines.set_aside import SetAside
from pipelines.units import Unit, missing_jobs, nothing_voted
from pipelines.vote_rows import read_all_votes

Decode = Callable[[Run, Path], Decoded]


@pytest.fixture
def decoded(aside_of: Callable[..., SetAside]) -> Decode:
    """Return what decodes all images of a run as one unit."""

    def decode(run: Run, out: Path) -> Decoded:
        entries = run.data.source.entries()
        unit = Unit(
            tuple(missing_jobs(nothing_voted(entries, reading_of(run, 1).blocks)))
        )
        metadata = vote_metadata(vote_identity(run), {}, "six")
        aside = aside_of(run, out, metadata)
        return DecodeUnits(run.data.source, run.data.preprocess, aside).decoded(unit)

    return decode


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of pictures of two shapes, and one that is none."""
    rng = np.random.default_rng(0)
    for label, size in enumerate(((8, 8), (8, 12), (8, 8))):
        folder = tmp_path / "pictures" / str(label)
        folder.mkdir(parents=True)
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"picture_{label}.png")
    (tmp_path / "pictures" / "1" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "pictures"


@pytest.fixture
def run(run_of: Callable[..., Run], pictures: Path) -> Run:
    return run_of(
        f"data={{source: class_folders, path: {pictures}}}",
        "classifier.kind=cifar_resnet",
        "classifier.weights={untrained: 0}",
        "classifier.depth=8",
        "classifier.shortcut=A",
        "classifier.input=imagenet",
    )


def test_rows_are_all_blocks_once_in_batches_that_stack(
    run: Run, decoded: Decode, tmp_path: Path
) -> None:
    parts = list(calls(decoded(run, tmp_path / "out"), run))

    rows = [
        row
        for part in parts
        for row in zip(part["image_key"], part["stream"], part["block"], strict=True)
    ]
    streams = [("clean", 0), ("select", 0), ("estimate", 0), ("estimate", 1)]
    pictures = [f"picture_{index}" for index in range(3)]
    assert sorted(rows) == sorted((k, s, b) for k in pictures for s, b in streams)
    for part in parts:
        assert len(set(part["stream"]) & {"clean"}) == 0 or set(part["stream"]) == {
            "clean"
        }
        assert part["image"].dtype == np.float32
        assert len(part["image"]) == len(part["image_key"])


def test_every_row_holds_its_own_image(
    run: Run, decoded: Decode, tmp_path: Path, pictures: Path
) -> None:
    for part in calls(decoded(run, tmp_path / "out"), run):
        for key, label, image in zip(
            part["image_key"], part["label"], part["image"], strict=True
        ):
            stored = np.asarray(Image.open(pictures / str(label) / f"{key}.png"))
            assert np.array_equal(np.rint(image * 255), stored.transpose(2, 0, 1))


def test_an_image_that_cannot_be_decoded_becomes_rows_with_its_reason(
    run: Run, decoded: Decode, tmp_path: Path
) -> None:
    decoded(run, tmp_path / "out")

    votes = read_all_votes(open_store(tmp_path / "out"), run.sigma).rows
    assert set(votes["image_key"].to_pylist()) == {"broken"}
    assert (len(votes), sum(votes["invalid"].to_pylist())) == (4, 31)
    (reason,) = set(votes["failure"].to_pylist())
    assert "Image 'broken' needs to be a file that Pillow can decode" in reason
    certificate = certify_votes(votes, {"broken": 1}, reading_of(run, 1)).to_pylist()[0]
    assert (certificate["radius"], certificate["reason"]) == (0, reason)


def test_a_unit_without_a_readable_image_has_no_rows(
    run: Run, decoded: Decode, tmp_path: Path, pictures: Path
) -> None:
    for path in pictures.glob("*/picture_*.png"):
        path.write_bytes(b"")

    assert list(calls(decoded(run, tmp_path / "out"), run)) == []


def test_votes_name_the_content_they_were_cast_on(
    run: Run, decoded: Decode, tmp_path: Path
) -> None:
    source = run.data.source
    assert isinstance(source, ClassFolders)
    digests = entry_digests(source, source.entries())

    for part in calls(decoded(run, tmp_path / "out"), run):
        for key, sha256 in zip(part["image_key"], part["image_sha256"], strict=True):
            assert sha256 == digests[key]
    assert digests["broken"] == digest(b"no picture")


def test_digests_are_of_every_image_whatever_the_number() -> None:
    source = Digits(split="train")
    entries = source.entries()

    digests = entry_digests(source, entries)

    assert list(digests) == [entry.key for entry in entries]
    (last,) = source.read(entries[-1:])
    assert digests[entries[-1].key] == digest(last)


def test_digests_that_entries_know_are_not_read_again() -> None:
    source = Digits()
    first, second, *_ = source.entries()
    known = replace(first, sha256="known", where=None)  # nothing could be read there

    digests = entry_digests(source, [known, second])

    assert digests[first.key] == "known"
    assert digests[second.key] == entry_digests(source, [second])[second.key]
