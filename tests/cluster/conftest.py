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

STUDY: dict[str, Any] = {
    "data": {"source": "digits", "split": "tune", "subset": "first:8"},
    "sigma": [0.5],
    "purifier": {"kind": "nothing"},
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 1}},
    "local": {"sigma": 0.12, "num": 3},
    "sampling": {"num_select": 20, "num_estimate": 100, "block": 20},
    "batch": 20,
    "stages": {"unit_votes": 100, "fused": {"actors": 1}},
    "study": {
        "space": {"local.sigma": [0.12, 0.4], "local.num": [1, 3]},
        "budget": {
            "unit": "classifier_calls",
            "like": {"num_estimate": 100, "num_local": 3},
        },
        "objective": {"kind": "average_certified_radius"},
        "baselines": {"plain": {"local.sigma": 0, "local.num": 1}},
        "held_out": {"split": "test", "subset": "first:4"},
    },
}

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


@pytest.fixture(scope="module")
def one_database(runs: Path) -> Iterator[str]:
    """One MLflow data base for all trainings: each new one takes seconds to make."""
    with pytest.MonkeyPatch.context() as patch:
        uri = f"sqlite:///{runs / 'mlflow.db'}"
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield uri


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


@pytest.fixture(scope="session")
def study_file(runs: Path) -> Path:
    path = runs / "small_study.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    return path


@pytest.fixture(scope="session")
def study(ray_cluster: None, runs: Path, study_file: Path) -> Callable[..., Any]:
    """Return what runs the small study with some settings into a folder."""
    from tune.tune_study import tune_study

    def run(name: str, *settings: str, confirmed: bool = False) -> Any:
        out = str(runs / name)
        return tune_study(str(study_file), settings, out, confirmed=confirmed)

    return run
