from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.recipe import Recipe
from pipelines.recipe_file import (
    apply_setting,
    for_sigma,
    packaged_recipes,
    read_recipe,
    recipe_name,
)


def with_setting(raw: dict[str, Any], setting: str) -> dict[str, Any]:
    apply_setting(raw, setting)
    return raw


def test_a_setting_reads_its_value_as_yaml() -> None:
    assert with_setting({}, "a=0.5") == {"a": 0.5}
    assert with_setting({}, "a=[1, x]") == {"a": [1, "x"]}
    assert with_setting({}, "a=null") == {"a": None}


def test_a_setting_makes_the_fields_on_its_way() -> None:
    assert with_setting({"x": 1}, "a.b.c=2") == {"x": 1, "a": {"b": {"c": 2}}}


def test_all_after_the_first_equals_sign_is_the_value() -> None:
    assert with_setting({}, "uri=postgresql://host/?a=b") == {
        "uri": "postgresql://host/?a=b"
    }


def test_a_new_kind_drops_the_fields_of_the_old_one() -> None:
    raw = {"classifier": {"kind": "timm", "name": "resnet50", "weights": {"path": "x"}}}

    assert with_setting(raw, "classifier.kind=digits_cnn") == {
        "classifier": {"kind": "digits_cnn"}
    }


def test_the_same_kind_again_keeps_its_fields() -> None:
    raw = {"classifier": {"kind": "timm", "name": "resnet50"}}

    assert with_setting(raw, "classifier.kind=timm")["classifier"]["name"] == "resnet50"


def test_settings_apply_in_the_order_given(written: str) -> None:
    raw = read_recipe(written, ["seed=1", "purifier.kind=one_shot_ddpm", "seed=2"])

    assert (raw["seed"], raw["purifier"]) == (2, {"kind": "one_shot_ddpm"})


def test_variables_are_filled_in_wherever_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEWHERE", "/data")
    path = tmp_path / "r.yaml"
    path.write_text('a: {b: ["${SOMEWHERE}/x", 1]}\nc: ${SOMEWHERE}${SOMEWHERE}\n')

    raw = read_recipe(str(path), ["d=${SOMEWHERE}/y"])

    assert raw == {"a": {"b": ["/data/x", 1]}, "c": "/data/data", "d": "/data/y"}


@pytest.mark.parametrize("place", ["a", "a.b", "list", "whole"])
def test_per_sigma_is_decided_anywhere(place: str) -> None:
    choice = {"per_sigma": {0.25: "low", 0.5: "high"}}
    raw, low = {
        "a": ({"a": choice}, {"a": "low"}),
        "a.b": ({"a": {"b": choice, "c": 1}}, {"a": {"b": "low", "c": 1}}),
        "list": ({"a": [choice, 2]}, {"a": ["low", 2]}),
        "whole": (choice, "low"),
    }[place]

    assert for_sigma(raw, 0.25) == low
    assert "high" in str(for_sigma(raw, 0.5))


def test_per_sigma_may_choose_nothing_and_may_choose_again() -> None:
    inner = {"per_sigma": {0.25: {"x": 1}, 0.5: None}}

    assert for_sigma({"a": {"per_sigma": {0.25: inner, 0.5: inner}}}, 0.25) == {
        "a": {"x": 1}
    }
    assert for_sigma({"a": inner}, 0.5) == {"a": None}


def test_per_sigma_beside_other_fields_is_a_field_like_any() -> None:
    raw = {"per_sigma": {0.25: 1}, "other": 2}

    assert for_sigma(raw, 0.25) == raw


def test_a_whole_number_finds_its_sigma_whatever_way_it_is_written() -> None:
    assert for_sigma({"per_sigma": {1: "one"}}, 1.0) == "one"
    assert for_sigma({"per_sigma": {"1.0": "one"}}, 1.0) == "one"


def test_a_packaged_recipe_and_a_copy_of_its_file_give_the_same(tmp_path: Path) -> None:
    raw = read_recipe("digits_diffsmooth")
    copy = tmp_path / "digits_diffsmooth.yaml"
    copy.write_text(yaml.safe_dump(raw))

    assert read_recipe(str(copy)) == raw
    assert recipe_name(str(copy)) == "digits_diffsmooth"
    assert "digits_diffsmooth" in packaged_recipes()


def test_a_setting_reaches_the_run(recipe_of: Callable[..., Recipe]) -> None:
    recipe = recipe_of("sampling.num_estimate=50", "sigma=[0.5, 1.0]")

    assert [run.sigma for run in recipe.runs] == [0.5, 1.0]
    assert {run.sampling.num_estimate for run in recipe.runs} == {50}
