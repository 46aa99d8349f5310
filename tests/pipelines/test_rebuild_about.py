"""What a recipe says of itself, in reports that are made anew."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.object_store import open_store
from infra.tables import from_bytes, to_bytes
from pipelines.rebuild import rebuild, stored_indexes, stored_recipe
from pipelines.recipe import Recipe
from pipelines.resolved import resolved_yaml

MakeOut = Callable[..., Path]


@pytest.fixture
def out_of(
    recipe_of: Callable[..., Recipe], cast: Callable[..., Any], tmp_path: Path
) -> MakeOut:
    """Return what makes an OUT with the votes and the recipe of a run."""

    def make(name: str, *settings: str) -> Path:
        recipe, out = recipe_of(*settings), tmp_path / name
        for run in recipe.runs:
            cast(run, out)
        (out / "recipe.yaml").write_text(resolved_yaml(recipe))
        return out

    return make


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "report" / "table.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["sigma"] != "envelope"]


def forget_about(out: Path) -> None:
    """Make an OUT as if it had been written before recipes said anything."""
    recipe = out / "recipe.yaml"
    raw = yaml.safe_load(recipe.read_text())
    del raw["about"]
    recipe.write_text(yaml.safe_dump(raw))
    for file in (out / "votes").rglob("*.parquet"):
        votes, facts = from_bytes(file.read_bytes(), file.name)
        run = json.loads(facts["recipe"])
        run.pop("about", None)
        file.write_bytes(to_bytes(votes, {**facts, "recipe": json.dumps(run)}))


def test_an_out_that_says_nothing_of_itself_is_reported(out_of: MakeOut) -> None:
    out = out_of("old")
    forget_about(out)

    rebuild([str(out)], [], None)

    (row,) = rows_of(out)
    assert (row["run"], row["architecture"]) == ("small", "digits CNN")
    assert (row["extra_data"], row["off_the_shelf"]) == ("", "")
    assert (row["purifier_calls"], row["classifier_calls"]) == ("0", "3")


def test_what_a_recipe_says_stands_in_its_row(out_of: MakeOut) -> None:
    out = out_of("new", "about={method: My method, extra_data: false}")

    rebuild([str(out)], [], None)

    (row,) = rows_of(out)
    assert (row["run"], row["extra_data"]) == ("My method", "no")
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["recipe"] == "small"
    assert manifest["runs"][0]["about"]["method"] == "My method"


def test_a_row_may_be_called_otherwise_afterwards_without_a_further_claim(
    out_of: MakeOut,
) -> None:
    out = out_of("new", "about.method=My method")
    rebuild([str(out)], [], None)
    before = (out / "certificates.parquet").read_bytes()

    (curve,), _ = rebuild([str(out)], ["about.method=Yours"], None)

    assert curve.run == "Yours"
    assert curve.num_claims == 1
    assert (out / "certificates.parquet").read_bytes() == before


def test_a_recipe_chooses_the_radii_of_its_table(out_of: MakeOut) -> None:
    out = out_of("radii", "about.radii=[0, 0.05, 0.15]")

    rebuild([str(out)], [], None)

    (row,) = rows_of(out)
    columns = [name for name in row if name.endswith("_percent")]
    assert columns == [f"certified_r_{r}_percent" for r in ("0.00", "0.05", "0.15")]


def test_votes_alone_know_what_their_recipe_said(out_of: MakeOut) -> None:
    said = "about={extra_data: {per_sigma: {0.25: true, 0.5: false}}, method: Mine}"
    out = out_of("votes", "sigma=[0.25, 0.5]", said)
    (out / "recipe.yaml").unlink()

    rebuild([str(out)], ["about.off_the_shelf=true"], None)

    rows = rows_of(out)
    assert [row["run"] for row in rows] == ["Mine", "Mine"]
    assert [row["extra_data"] for row in rows] == ["yes", "no"]
    assert [row["off_the_shelf"] for row in rows] == ["yes", "yes"]


def test_votes_from_before_recipes_said_anything_go_with_later_ones(
    out_of: MakeOut,
) -> None:
    out = out_of("grown")
    forget_about(out)
    out_of("grown", "sigma=[0.25, 0.5]", "about.method=Mine")
    (out / "recipe.yaml").unlink()
    store = open_store(out)

    runs = stored_recipe(store, stored_indexes(store), []).runs

    assert [run.about.method for run in runs] == [None, "Mine"]


def test_runs_of_different_methods_are_called_by_them(
    out_of: MakeOut, tmp_path: Path
) -> None:
    one = out_of("one", "about.method=Gaussian")
    other = out_of("two", "about.method=DDS")

    curves, _ = rebuild([str(one), str(other)], [], str(tmp_path / "both"))

    assert [curve.run for curve in curves] == ["Gaussian", "DDS"]
    assert [row["run"] for row in rows_of(tmp_path / "both")] == ["DDS", "Gaussian"]


def test_runs_of_one_method_are_told_apart(out_of: MakeOut, tmp_path: Path) -> None:
    one = out_of("one", "about.method=Gaussian")
    shutil.copytree(one, tmp_path / "twin")

    rebuild([str(one), str(tmp_path / "twin")], [], str(tmp_path / "both"))

    assert [row["run"] for row in rows_of(tmp_path / "both")] == ["one", "twin"]
    assert [row["run"] for row in rows_of(one)] == ["Gaussian"]
