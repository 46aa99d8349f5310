"""Trials with certificates, made from radii and verdicts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from pipelines.curve import Curve
from tune.trial import Score, Setting, Trial

OF_A_SETTING = {
    "variant",
    "sigma",
    "local_sigma",
    "num_local",
    "num_estimate",
    "others",
}


@pytest.fixture
def a_trial() -> Callable[..., Trial]:
    """Return what makes a trial of these images, with any field changed."""
    return make_trial


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], Figure]:
    """Return what calls a function and hands out the figure that it saved."""

    def draw(call: Callable[[], object]) -> Figure:
        saved: list[Figure] = []
        with monkeypatch.context() as patch:
            patch.setattr(Figure, "savefig", lambda self, *_, **__: saved.append(self))
            call()
        return saved[0]

    return draw


def make_trial(
    number: int = 0,
    radii: Sequence[float] = (0.0, 0.3, 0.6, 0.7),
    correct: Sequence[bool] = (True, True, True, False),
    keys: Sequence[str] | None = None,
    **changed: Any,
) -> Trial:
    fields: dict[str, Any] = {
        "variant": "",
        "sigma": 0.25,
        "local_sigma": 0.25,
        "num_local": 5,
        "num_estimate": 10_000,
        "baseline": None,
        "status": "finished",
        "reason": "",
        "cost": 1.0,
        "score": Score(float(np.mean(correct)), 0.0, 1.0),
        **changed,
    }
    own = {name: fields.pop(name) for name in OF_A_SETTING & set(fields)}
    setting = Setting(**own)
    fields.setdefault("curve", make_curve(setting, radii, correct, keys))
    return Trial(number=number, setting=setting, **fields)


def make_curve(
    setting: Setting,
    radii: Sequence[float],
    correct: Sequence[bool],
    keys: Sequence[str] | None,
) -> Curve:
    num_images = len(radii)
    certificates = pa.table(
        {
            "image_key": keys or [f"digits_{index:04d}" for index in range(num_images)],
            "label": pa.array([3] * num_images, pa.int32()),
            "guessed_class": pa.array([3 if r else 4 for r in correct], pa.int32()),
            "abstained": pa.array([False] * num_images),
            "num_draws": pa.array([setting.num_estimate] * num_images, pa.int64()),
            "radius": pa.array(radii, pa.float64()),
        }
    )
    return Curve(
        run="study",
        sigma=setting.sigma,
        certificates=certificates,
        dataset="digits",
        num_estimate=setting.num_estimate,
        failure_probability=1e-3,
        rule="fixed",
        seconds={},
    )
