import io
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from infra.local_store import LocalStore
from infra.object_store import Store, open_store

pytestmark = pytest.mark.ray

RECIPE: dict[str, Any] = {
    "sigma": [0.25],
    "purifier": {"kind": "nothing"},
    "classifier": {
        "kind": "cifar_resnet",
        "depth": 8,
        "shortcut": "A",
        "input": "cifar10",
        "weights": {"untrained": 0},
    },
    "local": {"sigma": 0, "num": 1},
    "sampling": {"num_select": 20, "num_estimate": 100, "block": 20},
    "batch": 20,
    "stages": {"unit_votes": 130, "fused": {"actors": 1}},
}
"""Four images, a unit of votes each."""

CERTIFY = """
from infra import cluster
from pipelines.cli import main
cluster.start(None, num_cpus=4)
main()
"""


def png(pixels: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "png")
    return written.getvalue()


def images() -> bytes:
    """A Parquet file of four small images."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    rows = [{"bytes": png(image), "path": None} for image in pixels]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"img": pa.array(rows, kind), "label": [0, 3, 3, 9]})
    written = io.BytesIO()
    pq.write_table(table, written, row_group_size=2)
    return written.getvalue()


def recipe_over(store: Store, folder: Path) -> str:
    """Put the images into a store; returns a recipe that reads them there."""
    store.write("data/test-00000-of-00001.parquet", images())
    data = {"source": "hf_parquet", "path": f"{store.url}/data", "preprocess": "none"}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({"data": data, **RECIPE}))
    return str(path)


def test_a_run_from_a_bucket_into_a_bucket_ends_in_the_bytes_of_a_local_run(
    ray_cluster: None,
    swift_server: dict[str, str],
    use_server: Callable[[dict[str, str]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_server(swift_server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    bucket = open_store(f"s3://lab/{uuid.uuid4().hex}")
    recipe = recipe_over(bucket, tmp_path)
    command = f"certify {recipe} --out {bucket.url}/runs/small".split()
    done = subprocess.run(
        [sys.executable, "-c", CERTIFY, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    local = certified_locally(tmp_path / "here", monkeypatch)

    names = [name.removeprefix("runs/small/") for name in bucket.names("runs/small/")]
    assert names == local.names()
    certified = bucket.read("runs/small/certificates.parquet")
    assert certified == local.read("certificates.parquet")
    assert pq.read_table(io.BytesIO(certified)).num_rows == 4
    assert tracked(bucket) >= {"recipe.yaml", "report/index.html", "report/table.md"}
    told = [bucket.read(name) for name in bucket.names("runs/")]
    told += [done.stderr.encode(), done.stdout.encode()]
    secret = swift_server["AWS_SECRET_ACCESS_KEY"].encode()
    assert not any(secret in content for content in told)


def certified_locally(folder: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """Return OUT of the same run from a folder into a folder."""
    from pipelines.certify import certify

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    folder.mkdir()
    recipe = recipe_over(LocalStore(folder), folder)
    status, _, job = certify(recipe, [], str(folder / "runs" / "small"))
    assert status == 0
    assert isinstance(job.store, LocalStore)
    return job.store


def tracked(bucket: Store) -> set[str]:
    """Return the names of the files that MLflow keeps of the run."""
    kept = bucket.names("runs/mlartifacts/")
    return {name.partition("/artifacts/")[2] for name in kept}
