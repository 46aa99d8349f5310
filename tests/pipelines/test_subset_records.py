"""What a run writes down of the images it was asked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import cluster
from infra.sources.digits import Digits
from infra.subsets import select, subset_digest
from infra.tables import from_bytes
from pipelines.prepare import prepare_recipe
from pipelines.rebuild import rebuild
from pipelines.recipe import Run, load_recipe

SUBSET = "stratified:4:1"


@pytest.fixture
def digest() -> str:
    """Return the digest of the images that the subset means."""
    return subset_digest(select(Digits(split="test").entries(), SUBSET))


def test_images_asked_for_carry_the_subsets_name_and_digest(
    written: str, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "start", lambda address: True)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    recipe = load_recipe(written, [f"data.subset={SUBSET}"])
    prepare_recipe(recipe, str(tmp_path / "out"))

    path = tmp_path / "out" / "images.parquet"
    images, facts = from_bytes(path.read_bytes(), "images")
    assert len(images) == 4
    assert (facts["subset"], facts["subset_sha256"]) == (SUBSET, digest)


def test_manifest_and_report_carry_the_subset_and_the_certified_input(
    run_of: Callable[..., Run], cast: Callable[..., Any], digest: str, tmp_path: Path
) -> None:
    cast(run_of(f"data.subset={SUBSET}"), tmp_path / "out")
    rebuild([str(tmp_path / "out")], [], None)

    (run,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["runs"]
    assert run["analysis"]["subset"] == SUBSET
    assert run["analysis"]["subset_sha256"] == digest
    assert run["certified_input"] == {
        "preprocess": "none",
        "height": None,
        "width": None,
        "interpolation": None,
    }
    page = (tmp_path / "out" / "report" / "table.md").read_text()
    assert f"Subset {SUBSET}, {digest[:12]}." in page
