import re
from pathlib import Path

import pytest

from pipelines.recipe import Recipe, load_recipe
from pipelines.recipe_file import packaged_recipes, read_recipe
from pipelines.train_recipe import load_train_recipe
from pipelines.weights import training_recipes
from tune.chooser import fixed_choices
from tune.chosen import PLACEHOLDER, Chosen
from tune.study import load_study

RECIPES = packaged_recipes()
TRAINED = [name for name in RECIPES if name.startswith("train_")]
STUDIES = [name for name in RECIPES if name.startswith(("ablation_", "budget_"))]
CERTIFIED = [name for name in RECIPES if name not in {*TRAINED, *STUDIES}]


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFSMOOTH_DATA", "/somewhere")


@pytest.mark.parametrize("name", CERTIFIED)
def test_a_packaged_recipe_holds(name: str) -> None:
    recipe = load_recipe(name, [])

    assert recipe.runs
    assert {name for name, _ in training_recipes(recipe)} <= set(TRAINED)


@pytest.mark.parametrize("name", TRAINED)
def test_a_packaged_training_recipe_holds(name: str) -> None:
    assert load_train_recipe(name, []).optimiser.steps > 0


@pytest.mark.parametrize("name", STUDIES)
def test_a_packaged_study_holds(name: str) -> None:
    study, rest = load_study(read_recipe(name), name)
    chosen = Chosen(rest, name, study)
    runs = [chosen.run(choice, PLACEHOLDER) for choice in fixed_choices(chosen)]

    assert {run.plan for run in runs} == {"fused"}
    recipe = Recipe(name=name, runs=tuple(runs), raw=rest)
    assert {name for name, _ in training_recipes(recipe)} <= set(TRAINED)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_begins_with_its_command(root: Path, name: str) -> None:
    text = (root / "pipelines" / "recipes" / f"{name}.yaml").read_text()
    (head,) = re.findall(r"\A(?:#.*\n)*", text)
    verb = "train" if name in TRAINED else "tune" if name in STUDIES else "certify"

    assert re.search(rf"# Command: .*diffsmooth {verb} {name}\b", head), (
        f"pipelines/recipes/{name}.yaml:1 names no command"
    )


def test_a_recipe_that_trains_is_named_for_it() -> None:
    assert TRAINED
    assert CERTIFIED
