import pytest

from pipelines.recipe import load_recipe
from pipelines.recipe_file import read_recipe
from pipelines.recipe_kinds import kind_of
from pipelines.train_recipe import load_train_recipe


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("digits_gaussian", "run"),
        ("train_digits_gaussian", "training"),
        ("budget_matched_digits", "study"),
    ],
)
def test_a_recipe_tells_its_kind_by_its_fields(name: str, kind: str) -> None:
    assert kind_of(read_recipe(name)) == kind


def test_a_training_is_not_certified_but_trained() -> None:
    with pytest.raises(
        ValueError, match=r"Run diffsmooth train train_digits_gaussian\."
    ):
        load_recipe("train_digits_gaussian", [])


def test_a_run_is_not_trained_but_certified() -> None:
    with pytest.raises(ValueError, match=r"Run diffsmooth certify digits_gaussian\."):
        load_train_recipe("digits_gaussian")


def test_a_study_is_neither() -> None:
    for load in (lambda name: load_recipe(name, []), load_train_recipe):
        with pytest.raises(ValueError, match=r"Run diffsmooth tune budget_matched"):
            load("budget_matched_digits")
