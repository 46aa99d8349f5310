"""The same few images, written in every layout that a data set may come in."""

import csv
import importlib.util
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from PIL import Image

NUM_CLASSES = 1000
NUM_VALIDATION = 50_000
STEP = 7
"""Number k of the devkits made here is class 7 k - 7, modulo 1,000."""

Fields = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """An image and what a data set has to say of it."""

    number: int
    """Of the official name, from 1."""

    label: int
    content: bytes

    @property
    def key(self) -> str:
        return f"ILSVRC2012_val_{self.number:08d}"


def timm_file(name: str) -> str:
    spec = importlib.util.find_spec("timm")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "data" / "_info" / name).read_text()


WORDNET_IDS = timm_file("imagenet_synsets.txt").split()


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="session")
def pictures() -> list[Picture]:
    """Return images of several sizes, colours and formats, all named .JPEG."""
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, shape, np.uint8)

    contents = [
        encoded(Image.fromarray(noise(9, 13, 3)), "JPEG"),
        encoded(Image.fromarray(noise(12, 7)), "JPEG"),
        encoded(Image.fromarray(noise(8, 8, 4), "CMYK"), "JPEG"),
        encoded(Image.fromarray(noise(5, 6, 3)), "PNG"),
        encoded(Image.fromarray(noise(6, 5)), "PNG"),
        encoded(Image.fromarray(noise(7, 7, 4), "RGBA"), "PNG"),
    ]
    numbers, labels = (3, 4, 8, 11, 500, 50_000), (999, 0, 340, 1, 0, 571)
    return [
        Picture(number, label, content)
        for number, label, content in zip(numbers, labels, contents, strict=True)
    ]


@pytest.fixture(scope="session")
def wordnet_ids() -> list[str]:
    return WORDNET_IDS


def place(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def number_of(label: int) -> int:
    """Return the devkit's number of a class."""
    return pow(STEP, -1, NUM_CLASSES) * label % NUM_CLASSES + 1


ORDER = {number_of(label): WORDNET_IDS[label] for label in range(NUM_CLASSES)}


def meta_mat(order: Sequence[tuple[int, str]], field: str = "ILSVRC2012_ID") -> bytes:
    """Return a devkit's table of classes, with two groups of classes behind them."""
    rows = [*order, (1001, "n00001740"), (1002, "n00001930")]
    synsets = np.empty((len(rows), 1), [(field, object), ("WNID", object)])
    synsets[:, 0] = rows
    file = io.BytesIO()
    scipy.io.savemat(file, {"synsets": synsets}, do_compression=True)
    return file.getvalue()


def ground_truth(labels: Mapping[int, int]) -> list[int]:
    """Return a whole ground truth with some labels given, by image number.

    The others are classes that people saw on the official images.
    """
    seen = json.loads(timm_file("imagenet_real_labels.json"))
    classes = [(seen_here or [0])[0] for seen_here in seen]
    for number, label in labels.items():
        classes[number - 1] = label
    return [number_of(label) for label in classes]


def write_class_folders(root: Path, pictures: Sequence[Picture]) -> Fields:
    for picture in pictures:
        folder = root / "val" / WORDNET_IDS[picture.label]
        place(folder / f"{picture.key}.JPEG", picture.content)
    return {"source": "class_folders", "path": f"{root}/val"}


def write_flat_devkit(root: Path, pictures: Sequence[Picture]) -> Fields:
    for picture in pictures:
        place(root / "val" / f"{picture.key}.JPEG", picture.content)
    lines = ground_truth({picture.number: picture.label for picture in pictures})
    data = root / "ILSVRC2012_devkit_t12" / "data"
    place(data / "meta.mat", meta_mat(sorted(ORDER.items(), key=lambda row: row[1])))
    place(
        data / "ILSVRC2012_validation_ground_truth.txt",
        "".join(f"{line}\n" for line in lines),
    )
    fields = {"source": "flat_devkit", "path": f"{root}/val"}
    return {**fields, "devkit": f"{root}/ILSVRC2012_devkit_t12"}


def write_kaggle(root: Path, pictures: Sequence[Picture]) -> Fields:
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(["ImageId", "PredictionString"])
    for picture in reversed(pictures):
        folder = root / "ILSVRC" / "Data" / "CLS-LOC" / "val"
        place(folder / f"{picture.key}.JPEG", picture.content)
        box = f"{WORDNET_IDS[picture.label]} 1 2 3 4 "
        writer.writerow([picture.key, box * 2])
    place(root / "LOC_val_solution.csv", rows.getvalue())
    names = "".join(f"{wordnet_id} a name, another\n" for wordnet_id in WORDNET_IDS)
    place(root / "LOC_synset_mapping.txt", names)
    return {"source": "kaggle", "path": str(root)}


def write_hf_parquet(root: Path, pictures: Sequence[Picture]) -> Fields:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = [{"bytes": p.content, "path": f"{p.key}.JPEG"} for p in pictures]
    labels = pa.array([p.label for p in pictures], pa.int64())
    table = pa.table({"image": pa.array(images, kind), "label": labels})
    path = root / "data" / "validation-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path, row_group_size=4)
    fields = {"source": "hf_parquet", "path": str(root), "split": "validation"}
    return {**fields, "image_column": "image", "num_classes": NUM_CLASSES}


def tar_bytes(members: Sequence[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def write_webdataset(root: Path, pictures: Sequence[Picture]) -> Fields:
    members = [
        [
            (f"{p.key}.jpg", p.content),
            (f"{p.key}.cls", str(p.label).encode()),
            (f"{p.key}.json", b'{"width": 1}'),
        ]
        for p in pictures
    ]
    half = len(members) // 2
    for shard, part in enumerate((members[:half], members[half:])):
        content = tar_bytes([member for sample in part for member in sample])
        place(root / f"validation-{shard:02d}.tar", content)
    return {"source": "webdataset", "path": f"{root}/validation-{{00..01}}.tar"}


WRITERS = {
    "class_folders": write_class_folders,
    "flat_devkit": write_flat_devkit,
    "kaggle": write_kaggle,
    "hf_parquet": write_hf_parquet,
    "webdataset": write_webdataset,
}

Write = Callable[[str, Path, Sequence[Picture]], Fields]


@pytest.fixture(scope="session")
def write() -> Write:
    """Return what writes pictures in a layout; returns the fields of its source."""
    return lambda layout, root, pictures: WRITERS[layout](root, pictures)


@pytest.fixture(scope="session")
def put() -> Callable[[Path, bytes | str], Path]:
    """Return what writes one file and the folders above it."""
    return place


@pytest.fixture(scope="session")
def tar() -> Callable[[Sequence[tuple[str, bytes]]], bytes]:
    """Return what makes a tar file of named contents."""
    return tar_bytes


@pytest.fixture(scope="session")
def meta() -> Callable[..., bytes]:
    """Return what makes a meta.mat of pairs of number and WordNet id."""
    return meta_mat


@pytest.fixture(scope="session")
def order() -> dict[int, str]:
    """Return the WordNet id by number of the devkits made here."""
    return ORDER


@pytest.fixture(scope="session")
def picture() -> Callable[..., Picture]:
    """Return what makes a picture of a number, a label and a content."""
    return Picture
