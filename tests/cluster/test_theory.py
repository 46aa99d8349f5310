from pathlib import Path

import pytest

from pipelines.theory import Asked, theory

pytestmark = pytest.mark.ray


def test_theorems_are_looked_at_where_votes_would_be_cast(
    ray_cluster: None, recipe_file: Path, tmp_path: Path
) -> None:
    names = [str(recipe_file)]
    out = str(tmp_path / "out")
    (row,) = theory(names, ["sigma=[0.25]"], out, asked=Asked(3, 2)).rows

    assert row.num_images == 3
    assert row.diffusion is not None
    assert row.diffusion.within_rederived == 1.0
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {"theory.csv", "theory.md", "theory.png"}
