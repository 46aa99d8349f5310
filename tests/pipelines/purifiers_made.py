"""Small recipes to inspect purifiers with, and a look at them in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import inspect_purifier as inspecting
from pipelines import purifier_look
from pipelines.recipe import Run
from pipelines.sample import Sample
from pipelines.worker import WorkerSettings

ENSEMBLE: dict[str, Any] = {
    "kind": "ensemble",
    "members": [
        {"kind": "digits_cnn", "weights": {"untrained": seed}} for seed in (1, 2)
    ],
}


def written(folder: Path, name: str, **changes: Any) -> str:
    """Write a recipe of seventy digits with some changes, and return its path."""
    recipe = {
        "data": {"source": "digits", "split": "test", "subset": "first:70"},
        "sigma": [0.25, 0.5],
        "purifier": {"kind": "nothing"},
        "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
        "local": {"sigma": 0.12, "num": 1},
        "batch": 10,
        **changes,
    }
    path = folder / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(yaml.safe_dump(recipe))
    return str(path)


@contextmanager
def looked_at_here() -> Iterator[None]:
    """Look in this process, not in a worker of Ray, and time one call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspecting, "in_worker", _here)
        patch.setattr(inspecting.cluster, "start", lambda *_: None)
        patch.setattr(purifier_look, "TIMING_SECONDS", 0.0)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


def _here(
    function: Callable[..., Any],
    run: Run,
    sample: Sample,
    *words: Any,
    asked_by: str,
) -> Any:
    settings = WorkerSettings(
        precision=run.precision,
        batch=run.batch,
        compiled=False,
        use_gpu=False,
        num_threads=None,
    )
    return function(run, sample, settings, *words)
