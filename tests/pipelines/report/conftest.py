"""Curves to report on."""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pytest

from pipelines.report import Curve

Image = tuple[int, int, bool, float]
"""Label, guessed class, whether it abstained, radius."""

FOUR_IMAGES: list[Image] = [
    (1, 1, False, 0.625),
    (2, 2, False, 0.3),
    (3, 3, True, 0.0),
    (4, 0, False, 0.7),
]


@pytest.fixture
def a_curve() -> Callable[..., Curve]:
    """Return what makes a curve of up to four images, with any field changed."""
    return make_curve


def make_curve(
    run: str = "digits",
    sigma: float = 0.25,
    images: Sequence[Image] = FOUR_IMAGES,
    **changed: object,
) -> Curve:
    keys = [f"digits_{index:04d}" for index in range(len(images))]
    labels, guessed, abstained, radii = zip(*images, strict=True)
    certificates = pa.table(
        {
            "image_key": keys,
            "label": pa.array(labels, pa.int32()),
            "guessed_class": pa.array(guessed, pa.int32()),
            "abstained": pa.array(abstained),
            "num_draws": pa.array([10_000] * len(images), pa.int64()),
            "radius": pa.array(radii, pa.float64()),
            "reason": ["no majority" if lost else "" for lost in abstained],
            "clean_class": pa.array([1, 2, None, 4][: len(images)], pa.int32()),
            "smoothed_class": pa.array([1, 0, 0, 0][: len(images)], pa.int32()),
        }
    )
    settings: dict[str, object] = {
        "run": run,
        "sigma": sigma,
        "certificates": certificates,
        "dataset": "digits",
        "num_estimate": 10_000,
        "failure_probability": 1e-3,
        "rule": "fixed",
        "seconds": {"digits_0000": 3723.5},
    }
    return Curve(**(settings | changed))
