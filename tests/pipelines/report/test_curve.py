from collections.abc import Callable

import pyarrow as pa
import pytest

from pipelines.curve import Curve, metrics, radius_grid, table_radii

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


def test_a_recipe_that_names_radii_has_a_column_for_each_and_no_other(
    a_curve: Callable[..., Curve],
) -> None:
    curve = a_curve(dataset="imagenet64", radii_shown=(0.0, 0.05, 0.15))

    assert table_radii([curve]) == (0.0, 0.05, 0.15)
    assert [name for name in metrics(curve) if name.startswith("certified")] == [
        "certified_accuracy/r_0.00",
        "certified_accuracy/r_0.05",
        "certified_accuracy/r_0.15",
    ]


def test_runs_beside_each_other_share_the_columns_of_all(
    a_curve: Callable[..., Curve],
) -> None:
    telling = a_curve(run="a", radii_shown=(0.05, 0.25))
    silent = a_curve(run="b")
    by_table = a_curve(run="c", radii=(0.1,), radii_shown=(0.05,))

    assert table_radii([telling, silent]) == (0.0, 0.05, 0.25, 0.5, 0.75, 1.0)
    assert table_radii([telling, by_table]) == (0.05, 0.1, 0.25)


def test_a_cascade_shows_the_radii_of_its_stages(
    a_curve: Callable[..., Curve],
) -> None:
    stage = a_curve(radii_shown=(0.05,))

    assert table_radii([a_curve(sigma=None, stages=(stage,))]) == (0.05,)
