from pathlib import Path

import pytest

from pipelines.inspect_purifier import Asked, inspect_purifier

pytestmark = pytest.mark.ray


def test_a_purifier_is_looked_at_where_votes_would_be_cast(
    ray_cluster: None, one_database: str, recipe_file: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")

    inspected = inspect_purifier(str(recipe_file), ["sigma=[0.25]"], out, Asked(3))

    (line,) = inspected.lines
    assert (line.num_images, line.calls_per_copy, line.device) == (3, 1, "cpu")
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"purified_0.25.png", "purifier.csv", "purifier.md"}
