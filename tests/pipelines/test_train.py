from pathlib import Path

import pytest

from infra import cluster
from infra.cluster import Capacity
from pipelines.train import cache_folder, train
from pipelines.train_recipe import load_train_recipe


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DIFFSMOOTH_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / "home" / ".cache" / "diffsmooth"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache_folder() == tmp_path / "caches" / "diffsmooth"

    monkeypatch.setenv("DIFFSMOOTH_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_a_training_that_would_wait_for_workers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_cores = Capacity((2.0,), (0.0,), (1e9,))
    monkeypatch.setattr(cluster, "start", lambda _address: False)
    monkeypatch.setattr(cluster, "capacity", lambda: two_cores)
    recipe = load_train_recipe("train_digits_ddpm", ["workers.num_workers=4"])

    with pytest.raises(ValueError, match=r"4 workers all at once.* has room for 2"):
        train(recipe, tmp_path)
    assert not (tmp_path / "starts").exists()
