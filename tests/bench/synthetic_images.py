"""Images and a recipe that cost next to nothing, so that all else is measured."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

SIDE, NUM_CLASSES, BATCH = 8, 10, 500
ROWS_IN_GROUP = 1_000
"""Of the Parquet file, as the ``datasets`` library writes them."""

VOTES_PER_IMAGE = 21
"""One clean copy, 10 to guess the class and 10 to bound it."""


def images_parquet(path: Path, count: int) -> None:
    """Write small random images in the layout of the Hugging Face hub.

    Args:
        path: of the file.
        count: of images.
    """
    encoded = [{"bytes": content, "path": None} for content in _images(count)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    labels = [number % NUM_CLASSES for number in range(count)]
    table = pa.table({"img": pa.array(encoded, kind), "label": labels})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=ROWS_IN_GROUP)


def _images(count: int) -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    for _ in range(count):
        written = io.BytesIO()
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(written, "png")
        yield written.getvalue()


def recipe(data: Path, **fields: Any) -> dict[str, Any]:
    """Return a recipe of the cheapest classifier there is, without purifier.

    Args:
        data: Parquet file of the images.
        fields: that replace others.
    """
    sampling = {"num_select": 10, "num_estimate": 10, "num_predict": 10, "block": 10}
    return {
        "data": {"source": "hf_parquet", "path": str(data)},
        "sigma": 0.25,
        "purifier": {"kind": "nothing"},
        "classifier": {
            "kind": "cifar_resnet",
            "depth": 8,
            "shortcut": "A",
            "input": "none",
            "weights": {"untrained": 0},
        },
        "local": {"sigma": 0, "num": 1},
        "sampling": sampling,
        "batch": BATCH,
        **fields,
    }


def written(raw: dict[str, Any], path: Path) -> Path:
    """Write a recipe as YAML; returns its path."""
    path.write_text(yaml.safe_dump(raw))
    return path
