from collections.abc import Callable

import pyarrow as pa
import pytest

from pipelines.curve import Curve, metrics, radius_grid

MakeCurve = Callable[..., Curve]


def test_metrics_are_fractions_at_the_radii_within_reach(a_curve: MakeCurve) -> None:
    numbers = metrics(a_curve())

    assert numbers == pytest.approx(
        {
            "certified_accuracy/r_0.00": 0.5,
            "certified_accuracy/r_0.25": 0.5,
            "certified_accuracy/r_0.50": 0.25,
            "certified_accuracy/r_0.75": 0.0,
            "acr": 0.23125,
            "abstention_rate": 0.25,
            "clean_accuracy": 0.75,
            "smoothed_accuracy": 0.25,
        }
    )


def test_accuracy_nobody_measured_is_left_out(a_curve: MakeCurve) -> None:
    curve = a_curve()
    column = curve.certificates.schema.get_field_index("clean_class")
    unmeasured = curve.certificates.set_column(
        column, "clean_class", pa.nulls(4, pa.int32())
    )
    curve = a_curve(certificates=unmeasured)

    assert "clean_accuracy" not in metrics(curve)


def test_grid_ends_one_step_beyond_reach() -> None:
    assert radius_grid("digits", 0.8) == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert radius_grid("digits", 0.75) == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert radius_grid("imagenet", 1.2) == (0.0, 0.5, 1.0, 1.5)
