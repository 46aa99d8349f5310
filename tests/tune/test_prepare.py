from pathlib import Path
from typing import Any

import pytest
import yaml

from tune.prepare import prepare_study

RECIPE: dict[str, Any] = {
    "data": {"source": "digits", "subset": "first:2"},
    "sigma": [0.5],
    "purifier": {"kind": "nothing"},
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
    "local": {"sigma": 0.1, "num": 1},
    "study": {
        "space": {"local.num": [1, 2]},
        "objective": {"kind": "certified_accuracy", "radius": 0.25},
        "held_out": {"split": "test", "subset": "first:3"},
    },
}


def refusal(tmp_path: Path, *settings: str) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    with pytest.raises(ValueError) as refused:  # noqa: PT011  its words are looked at
        prepare_study(str(path), settings, str(tmp_path / "out"))
    return str(refused.value)


@pytest.mark.parametrize("name", ["votes/sigma_0.5/one.parquet", "manifest.json"])
def test_an_out_of_certify_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("{}")

    assert "has a run of diffsmooth certify" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("sigma=[]", "needs sigma above 0"),
        ("sigma=high", "needs sigma above 0"),
        ("plan=staged", "needs plan fused"),
        ("study.space={sigma: {low: 0.1, high: 1.0}}", "needs a list for sigma"),
        ("study.space={sigma: [0.5, -1]}", "needs sigma above 0"),
        ("study.space={local.num: [1, 1]}", "needs different values"),
        (
            "study.space={local.num: [1], local: {a: {sigma: 0, num: 1}}}",
            "needs each field once",
        ),
        ("study.search={kind: random, num_trials: 3}", "have 2, num_trials 3"),
        ("study.held_out={split: tune}", "images that the study does not tune on"),
        ("study.variants={'': {local.num: 1}}", "one is empty"),
        ("study.halving={first: 0}", "--set study.halving.first="),
        ("study=3", "needs a recipe with study"),
    ],
)
def test_what_can_be_known_is_refused_before_anything_starts(
    tmp_path: Path, setting: str, told: str
) -> None:
    found = refusal(tmp_path, setting)

    assert told in found
    assert "study: study" not in found


def test_points_are_counted_with_the_sigmas_of_the_recipe(tmp_path: Path) -> None:
    settings = ("sigma=[0.25, 0.5]", "study.search={kind: random, num_trials: 5}")

    assert "have 4, num_trials 5" in refusal(tmp_path, *settings)
