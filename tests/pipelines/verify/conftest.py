"""An OUT of two sigmas, with all that certify writes, to be tampered with."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from infra.tables import from_bytes, to_bytes
from pipelines.check import Check
from pipelines.ledger import vote_files
from pipelines.rebuild import rebuild
from pipelines.recipe import Recipe
from pipelines.resolved import resolved_yaml
from pipelines.verify import verify
from pipelines.vote_rows import read_all_votes

SETTINGS = ("sigma=[0.25, 0.5]", "local.sigma={per_sigma: {0.25: 0.12, 0.5: 0.2}}")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where an OUT is kept that every test copies."""
    return tmp_path_factory.mktemp("verified") / "out"


@pytest.fixture
def finish(cast: Callable[..., Any]) -> Callable[[Recipe, Path], Store]:
    """Return what writes all that certify writes, without a cluster."""

    def write(recipe: Recipe, place: Path) -> Store:
        store = open_store(place)
        for run in recipe.runs:
            cast(run, place)
        rows = read_all_votes(store, recipe.runs[0].sigma).rows
        names = ["image_key", "label", "image_sha256"]
        images = rows.select(names).group_by(names).aggregate([])
        images = images.rename_columns([*names[:2], "sha256"])
        store.write("images.parquet", to_bytes(images.sort_by("image_key"), {}))
        store.write("recipe.yaml", resolved_yaml(recipe).encode())
        rebuild([str(place)], [], None)
        return store

    return write


@pytest.fixture
def out(
    recipe_of: Callable[..., Recipe],
    finish: Callable[[Recipe, Path], Store],
    whole: Path,
    tmp_path: Path,
) -> Store:
    """Return an OUT of two sigmas and three images."""
    if not whole.exists():
        finish(recipe_of(*SETTINGS), whole)
    shutil.copytree(whole, tmp_path / "out")
    return open_store(tmp_path / "out")


@pytest.fixture
def names(out: Store) -> Callable[[], list[str]]:
    """Return what lists the vote files of the first sigma."""
    return lambda: vote_files(out, 0.25)


@pytest.fixture
def read(out: Store) -> Callable[[str], tuple[pa.Table, dict[str, str]]]:
    """Return what reads a table and its facts by its name."""
    return lambda name: from_bytes(out.read(name), name)


@pytest.fixture
def change(
    out: Store, read: Callable[[str], tuple[pa.Table, dict[str, str]]]
) -> Callable[..., None]:
    """Return what writes a table again with its first row changed."""

    def write(name: str, **columns: Any) -> None:
        rows, facts = read(name)
        listed = rows.to_pylist()
        listed[0] |= columns
        out.write(name, to_bytes(pa.Table.from_pylist(listed, rows.schema), facts))

    return write


@pytest.fixture
def checked(out: Store) -> Callable[..., dict[str, Check]]:
    """Return what verifies, and returns what was looked at by its name."""
    return lambda **how: {one.name: one for one in verify(out.url, **how).checks}


@pytest.fixture
def failed(checked: Callable[..., dict[str, Check]]) -> Callable[..., dict[str, Check]]:
    """Return what verifies, and returns what fails by its name."""

    def fails(**how: Any) -> dict[str, Check]:
        found = checked(**how)
        return {name: one for name, one in found.items() if one.status == "fail"}

    return fails
