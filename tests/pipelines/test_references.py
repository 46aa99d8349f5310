"""References to weights, found and replaced wherever they stand."""

from collections.abc import Callable
from typing import Any

import pytest

from ops.weights import WeightsRef
from pipelines.recipe import Recipe, Run
from pipelines.references import (
    is_untrained,
    named_recipes,
    references_in,
    with_references,
)

PURIFIER = "purifier={kind: one_shot_ddpm, weights: {recipe: train_digits_ddpm}}"
ENSEMBLE = (
    "classifier={kind: ensemble, members: ["
    "{kind: digits_cnn, weights: {untrained: 1}}, "
    "{kind: digits_cnn, weights: {path: a.pt}}]}"
)
NEW = WeightsRef(path="new.pt", sha256="11")


def test_references_are_found_by_path_in_the_order_of_the_fields(
    run_of: Callable[..., Run],
) -> None:
    found = references_in(run_of(PURIFIER, ENSEMBLE))
    assert list(found.items()) == [
        ("purifier.weights", WeightsRef(recipe="train_digits_ddpm")),
        ("classifier.members.0.weights", WeightsRef(untrained=1)),
        ("classifier.members.1.weights", WeightsRef(path="a.pt")),
    ]


def test_a_part_without_weights_has_no_references(run_of: Callable[..., Run]) -> None:
    assert references_in(run_of().sampling) == {}


@pytest.mark.parametrize(
    "path", ["purifier.weights", "classifier.members.0.weights", "all"]
)
def test_replacing_references_changes_these_and_nothing_else(
    run_of: Callable[..., Run], path: str
) -> None:
    run = run_of(PURIFIER, ENSEMBLE)
    before = references_in(run)
    changed = dict.fromkeys(before if path == "all" else [path], NEW)

    found = with_references(run, changed)

    assert references_in(found) == {**before, **changed}
    assert references_in(run) == before
    assert with_references(found, before) == run


def test_replacing_no_reference_returns_the_same_part(
    run_of: Callable[..., Run],
) -> None:
    run = run_of(ENSEMBLE)
    assert with_references(run, references_in(run)) is run


def test_a_path_without_weights_is_refused(run_of: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match=r"weights at 'classifier' .*'classifier\.w"):
        with_references(run_of(), {"classifier": NEW})


def test_a_training_recipe_is_named_once_for_each_of_its_settings(
    recipe_of: Callable[..., Recipe],
) -> None:
    weights = (
        "classifier.weights={recipe: train, settings: [seed=3, "
        "{per_sigma: {0.25: sigma=0.25, 0.5: sigma=0.5, 1: sigma=0.5}}]}"
    )
    found = named_recipes(recipe_of("sigma=[0.25, 0.5, 1.0]", PURIFIER, weights))
    assert found == [
        ("train_digits_ddpm", ()),
        ("train", ("seed=3", "sigma=0.25")),
        ("train", ("seed=3", "sigma=0.5")),
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], True),
        ([ENSEMBLE], True),
        (["classifier.weights={path: a.pt}"], False),
        (["classifier.weights={recipe: train}"], False),
    ],
)
def test_a_part_is_untrained_if_any_of_its_weights_are(
    run_of: Callable[..., Any], settings: list[str], expected: bool
) -> None:
    assert is_untrained(run_of(*settings).classifier) == expected
