from collections.abc import Callable
from typing import Any

import pytest

from pipelines.recipe import Recipe, build_recipe
from pipelines.recipe_file import parse_yaml
from pipelines.resolved import resolved_yaml

DIFFERENT = {
    "sigma": [0.25, 0.5, 1.0],
    "local": {
        "num": 5,
        "sigma": {"per_sigma": {0.25: 0.12, 0.5: 0.25, 1.0: 0.5}},
    },
    "classifier": {
        "per_sigma": {
            0.25: {"kind": "digits_cnn", "weights": {"untrained": 1}},
            0.5: {
                "kind": "cifar_resnet",
                "weights": {"untrained": 2},
                "depth": 8,
                "shortcut": "B",
                "input": "imagenet",
            },
            1.0: {"kind": "digits_cnn", "weights": {"path": "w.pt"}},
        }
    },
    "rule": {"per_sigma": {0.25: {"kind": "fixed"}, 0.5: {}, 1.0: {}}},
}


def again(recipe: Recipe) -> Recipe:
    return build_recipe(parse_yaml(resolved_yaml(recipe), "recipe.yaml"), recipe.name)


def test_a_recipe_is_one_run_for_each_sigma_in_its_order(
    recipe_of: Callable[..., Recipe],
) -> None:
    recipe = recipe_of("sigma=[1.0, 0.25]")

    assert [run.sigma for run in recipe.runs] == [1.0, 0.25]


def test_one_sigma_needs_no_list(recipe_of: Callable[..., Recipe]) -> None:
    assert recipe_of("sigma=1").runs == recipe_of("sigma=[1.0]").runs


@pytest.mark.parametrize("changed", [{}, DIFFERENT])
def test_the_resolved_recipe_read_back_gives_the_same_runs(
    small: dict[str, Any], changed: dict[str, Any]
) -> None:
    recipe = build_recipe(small | changed, "small")

    assert again(recipe).runs == recipe.runs
    assert resolved_yaml(again(recipe)) == resolved_yaml(recipe)


def test_the_resolved_recipe_holds_every_default(
    small: dict[str, Any],
) -> None:
    resolved = parse_yaml(resolved_yaml(build_recipe(small, "small")), "recipe.yaml")

    assert resolved["sampling"]["failure_probability"] == 0.001
    assert resolved["data"]["preprocess"] == "none"
    assert resolved["local"]["noise"] == "fixed"


def test_each_sigma_gets_its_own_choices(small: dict[str, Any]) -> None:
    runs = build_recipe(small | DIFFERENT, "small").runs

    assert [run.local.sigma for run in runs] == [0.12, 0.25, 0.5]
    kinds = [run.classifier.kind for run in runs]
    assert kinds == ["digits_cnn", "cifar_resnet", "digits_cnn"]


def test_large_local_noise_is_warned_of_and_not_refused(
    recipe_of: Callable[..., Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    recipe_of("local.sigma=0.24")
    assert not caplog.records

    recipe_of("local.sigma=0.25")
    assert "at sigma 0.25 it has 0.25" in caplog.text


def test_a_field_of_a_member_is_named_with_the_member(
    recipe_of: Callable[..., Recipe],
) -> None:
    member = "{kind: digits_cnn, weights: {untrained: 0}%s}"
    one, other = member % "", member % ", num_clases: 10"
    with pytest.raises(ValueError, match=r"'classifier\.members\.1\.num_clases'") as no:
        recipe_of(f"classifier={{kind: ensemble, members: [{one}, {other}]}}")
    assert "Did you mean 'num_classes'?" in str(no.value)


def test_an_ensemble_of_different_weights_is_written_as_it_is_read(
    recipe_of: Callable[..., Recipe],
) -> None:
    member = "{kind: digits_cnn, weights: {recipe: a, settings: {per_sigma: %s}}}"
    settings = "{0.25: [s=0.25, seed=%s], 0.5: [s=0.5]}"
    members = ", ".join(member % (settings % seed) for seed in (1, 2))
    recipe = recipe_of(
        "sigma=[0.25, 0.5]", f"classifier={{kind: ensemble, members: [{members}]}}"
    )
    first = recipe.runs[0].classifier.members[1].weights
    assert first.settings == ("s=0.25", "seed=2")
    assert again(recipe).runs == recipe.runs


SCHEDULE = {"kind": "cosine", "num_timesteps": 1000}
WEIGHTS = {"weights": {"untrained": 0}}


@pytest.mark.parametrize(
    ("purifier", "said"),
    [
        ({"kind": "pf_ode", "levels": {"highest": 0.1}}, "highest of at least 0.5"),
        (
            {
                "kind": "reverse_chain",
                "steps": 5000,
                "samples": 5,
                "schedule": SCHEDULE,
            },
            "steps is 5000",
        ),
        ({"kind": "consistency", "model": {"highest": 0.1}}, "highest of at least 0.5"),
    ],
)
def test_noise_that_the_purifiers_own_settings_rule_out_is_refused_with_the_recipe(
    small: dict[str, Any], purifier: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=rf"^Recipe small: .*{said}"):
        build_recipe({**small, "purifier": {**WEIGHTS, **purifier}}, "small")
