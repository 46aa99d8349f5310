import math
from typing import Any

import pytest

from tune.space import Choices, Range, dimension, grid, num_points


def chosen(field: str, written: Any, sigma: float = 0.25) -> list[tuple[str, Any]]:
    """Return the name and the value of every choice of a finite dimension."""
    one = dimension(field, written)
    assert one.size is not None
    return [one.chosen(place, sigma) for place in range(one.size)]


def test_a_list_gives_its_values_in_their_order() -> None:
    found = chosen("local.sigma", [0.25, 0.06, 0.12])

    assert found == [("0.25", 0.25), ("0.06", 0.06), ("0.12", 0.12)]


def test_a_named_mapping_gives_its_values_under_their_names() -> None:
    weights = {"standard": {"untrained": 0}, "smoothed": {"untrained": 1}}

    found = chosen("classifier.weights", weights)

    assert found == [("standard", {"untrained": 0}), ("smoothed", {"untrained": 1})]


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ({"low": 2, "high": 5}, [2, 3, 4, 5]),
        ({"low": 1, "high": 10, "step": 3}, [1, 4, 7, 10]),
        ({"low": 1, "high": 12, "step": 3}, [1, 4, 7, 10]),
        ({"low": 0, "high": 100, "step": 100}, [0, 100]),
    ],
)
def test_a_range_of_whole_numbers_gives_every_step_and_never_passes_its_end(
    written: dict[str, int], values: list[int]
) -> None:
    found = chosen("local.num", written)

    assert found == [(str(value), value) for value in values]
    assert all(isinstance(value, int) for _, value in found)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0.05, 1.0), (1, 2)])
def test_a_range_of_numbers_gives_any_of_them_and_has_no_size(
    low: float, high: float, log: bool
) -> None:
    one = dimension("local.sigma", {"low": low, "high": high, "log": log})

    assert one == Range("local.sigma", low, high, log, None)
    assert one.size is None
    assert one.chosen(0.3125, 0.25) == ("0.3125", 0.3125)


def test_a_list_per_sigma_gives_the_value_of_its_sigma() -> None:
    written = {"per_sigma": {0.25: [0.06, 0.12], 0.5: [0.12, 0.25]}}

    assert chosen("local.sigma", written, 0.25) == [("0.06", 0.06), ("0.12", 0.12)]
    assert chosen("local.sigma", written, 0.5) == [("0.12", 0.12), ("0.25", 0.25)]


def test_a_list_per_sigma_names_the_sigma_it_lacks() -> None:
    one = dimension("local.sigma", {"per_sigma": {0.25: [0.06], 0.5: [0.12]}})

    with pytest.raises(ValueError, match=r"local\.sigma.* for sigma 1\.0"):
        one.chosen(0, 1.0)


def test_a_value_of_a_list_may_itself_hang_on_sigma() -> None:
    written = [0.1, {"per_sigma": {0.25: 0.06, 0.5: 0.12}}]

    assert chosen("local.sigma", written, 0.25) == [("0.1", 0.1), ("0.06", 0.06)]
    assert chosen("local.sigma", written, 0.5) == [("0.1", 0.1), ("0.12", 0.12)]


@pytest.mark.parametrize(
    ("written", "ordered"),
    [
        ([1, 5, 20], True),
        ({"few": 1, "many": 20}, True),
        ({"per_sigma": {0.25: [0.06, 0.12], 0.5: [0.12, 0.25]}}, True),
        (["fixed", "fresh"], False),
        ([True, False], False),
        ({"a": {"untrained": 0}, "b": {"untrained": 1}}, False),
    ],
)
def test_numbers_have_an_order_and_names_have_none(written: Any, ordered: bool) -> None:
    one = dimension("local.sigma", written)

    assert isinstance(one, Choices)
    assert one.ordered == ordered


@pytest.mark.parametrize(
    "field", ["sampling.num_select", "sampling", "seed", "localised.num", "data.subset"]
)
def test_a_field_that_no_study_varies_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValueError, match=r"needs fields of sigma, local") as refusal:
        dimension(field, [1, 2])

    assert repr(field) in str(refusal.value)


@pytest.mark.parametrize(
    "field", ["sigma", "local.num", "purifier.weights", "classifier", "purifier"]
)
def test_a_field_that_studies_vary_is_taken_with_all_that_lies_in_it(
    field: str,
) -> None:
    assert dimension(field, [1, 2]).field == field


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ([], "list of values"),
        ({}, "list of values"),
        (0.12, "list of values"),
        (None, "list of values"),
        ({"low": 0.1}, "list of values"),
        ({"low": 0.1, "high": 0.2, "named": 0.3}, "list of values"),
        ({"low": 0.5, "high": 0.1}, "low below high"),
        ({"low": 0.5, "high": 0.5}, "low below high"),
        ({"low": 5, "high": 5}, "low below high"),
        ({"low": "a", "high": "b"}, "low below high"),
        ({"low": 0.1, "high": 0.5, "step": 1}, "step of at least 1"),
        ({"low": 1, "high": 5, "step": 0.5}, "step of at least 1"),
        ({"low": 1, "high": 5, "step": 0}, "step of at least 1"),
        ({"low": 1, "high": 5, "step": -1}, "step of at least 1"),
        ([0.1, 0.2, 0.1], "different values"),
        ({"low": 1, "high": 9, "log": True, "step": 1}, "log for a continuous"),
        ({"low": 0.0, "high": 1.0, "log": True}, "continuous field above 0"),
        ({"low": -0.5, "high": 1.0, "log": True}, "continuous field above 0"),
        ({"per_sigma": {0.25: [0.1, 0.2], 0.5: [0.1]}}, "same length"),
        ({"per_sigma": {0.25: [], 0.5: []}}, "same length"),
        ({"per_sigma": {0.25: 0.1, 0.5: 0.2}}, "same length"),
        ({"per_sigma": [0.1, 0.2]}, "same length"),
        ({"per_sigma": {}}, "same length"),
    ],
)
def test_what_is_no_dimension_is_refused_with_field_and_value(
    written: Any, why: str
) -> None:
    with pytest.raises(ValueError, match=why) as refusal:
        dimension("local.sigma", written)

    per_sigma = isinstance(written, dict) and "per_sigma" in written
    held = written["per_sigma"] if per_sigma else written
    assert f"local.sigma has {held!r}" in str(refusal.value)


def test_a_grid_has_every_point_once_with_the_last_dimension_fastest() -> None:
    dimensions = [
        dimension("sigma", [0.25, 0.5]),
        dimension("local.num", {"low": 1, "high": 5, "step": 2}),
    ]

    points = [(point["sigma"], point["local.num"]) for point in grid(dimensions)]

    assert points == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("sizes", [(), (1,), (3,), (2, 3), (4, 1, 5)])
def test_the_number_of_points_is_what_the_grid_yields(sizes: tuple[int, ...]) -> None:
    fields = ["sigma", "local.sigma", "local.num"]
    dimensions = [
        dimension(field, list(range(1, 1 + size)))
        for field, size in zip(fields, sizes, strict=False)
    ]

    points = {tuple(point.items()) for point in grid(dimensions)}

    assert num_points(dimensions) == len(points) == math.prod(sizes)


def test_a_continuous_field_has_no_grid_and_says_which_it_is() -> None:
    dimensions = [
        dimension("local.num", [1, 5]),
        dimension("local.sigma", {"low": 0.05, "high": 0.5}),
    ]

    assert num_points(dimensions) is None
    with pytest.raises(ValueError, match=r"local\.sigma has a continuous range"):
        list(grid(dimensions))
