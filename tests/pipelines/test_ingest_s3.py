import io
import uuid
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from infra.object_store import open_store
from infra.sources.manifest import Manifest
from pipelines.ingest import ingest

Environment = dict[str, str]


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("server", ["moto_server", "swift_server"])
def test_a_bucket_is_ingested_into_a_bucket_and_read_back_through_the_manifest(
    server: str,
    request: pytest.FixtureRequest,
    use_server: Callable[[Environment], None],
) -> None:
    use_server(request.getfixturevalue(server))
    bucket = open_store(f"s3://lab/{uuid.uuid4().hex}")
    contents = {"0/a": png(0), "1/b": png(1), "3/c": png(2)}
    for name, content in contents.items():
        bucket.write(f"set/{name}.png", content)

    made = ingest(f"{bucket.url}/set", "class_folders", [], f"{bucket.url}/all.parquet")

    source = Manifest(path=made.manifest)
    entries = source.entries()
    assert [(entry.key, entry.label) for entry in entries] == [
        ("a", 0),
        ("b", 1),
        ("c", 3),
    ]
    assert source.read(entries) == list(contents.values())
    bucket.write("set/1/b.png", png(7))
    with pytest.raises(ValueError, match="needs its images unchanged; 'b'"):
        source.read(entries)
    with pytest.raises(ValueError, match="needs a new name"):
        ingest(f"{bucket.url}/set", "class_folders", [], f"{bucket.url}/all.parquet")
