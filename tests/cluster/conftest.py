"""One small Ray cluster and one small recipe, for the tests that ask for them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

RECIPE: dict[str, Any] = {
    "data": {"source": "digits", "split": "test", "subset": "first:6"},
    "sigma": [0.25, 0.5],
    "purifier": {
        "kind": "one_shot_ddpm",
        "weights": {"untrained": 0},
        "prediction": "epsilon",
        "schedule": {"kind": "cosine", "num_timesteps": 1000},
        "unet": {
            "sample_size": 8,
            "in_channels": 1,
            "out_channels": 1,
            "layers_per_block": 1,
            "block_out_channels": [8, 8],
            "down_block_types": ["DownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "UpBlock2D"],
            "norm_num_groups": 4,
            "add_attention": False,
        },
    },
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 1}},
    "local": {"sigma": 0.12, "num": 3},
    "sampling": {"num_select": 100, "num_estimate": 300},
    "stages": {"unit_votes": 800, "fused": {"actors": 1}},
}
"""DiffSmooth on six digits with random weights: every op, in seconds."""

Certify = Callable[..., Path]


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    from infra import cluster

    cluster.start(None, num_cpus=4)
    yield
    cluster.stop()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every OUT lies, so that they share one MLflow database."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def recipe_file(runs: Path) -> Path:
    path = runs / "six_digits.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


@pytest.fixture(scope="session")
def certify_six(ray_cluster: None, runs: Path, recipe_file: Path) -> Certify:
    """Certify the six digits into a folder of that name; returns OUT."""
    from pipelines.certify import certify

    def run(name: str, *settings: str) -> Path:
        out = runs / name
        status, _, _ = certify(str(recipe_file), list(settings), str(out))
        assert status == 0
        return out

    return run


@pytest.fixture(scope="session")
def undisturbed(certify_six: Certify) -> Path:
    """OUT of the recipe as it stands: two actors, the fused plan."""
    return certify_six("undisturbed", "stages.fused.actors=2")
