import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infra.sources.class_folders import ClassFolders
from infra.subsets import select
from infra.tables import from_bytes
from pipelines.ingest import ingest


def rows_of(manifest: str) -> list[dict[str, Any]]:
    return from_bytes(Path(manifest).read_bytes(), manifest)[0].to_pylist()


def test_a_subset_is_chosen_as_a_recipe_chooses_it(
    folders: Path, tmp_path: Path
) -> None:
    made = ingest(
        str(folders), "class_folders", ["subset=random:2:7"], f"{tmp_path}/two.parquet"
    )
    chosen = select(ClassFolders(path=str(folders)).entries(), "random:2:7")

    assert [row["key"] for row in rows_of(made.manifest)] == [e.key for e in chosen]
    assert from_bytes(Path(made.manifest).read_bytes(), "")[1]["subset"] == "random:2:7"


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing at .*/nowhere\. Check SOURCE"):
        ingest(f"{tmp_path}/nowhere", "class_folders", [], f"{tmp_path}/all.parquet")


def test_a_member_that_ends_too_early_is_told(folders: Path, tmp_path: Path) -> None:
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(whole, "JPEG")
    content = whole.getvalue()
    (folders / "3" / "cut.jpg").write_bytes(content[: len(content) // 2])

    made = ingest(str(folders), "class_folders", [], f"{tmp_path}/all.parquet")

    assert list(made.unreadable) == ["c", "cut"]
