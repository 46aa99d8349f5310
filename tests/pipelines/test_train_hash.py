from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from trainings_made import fields_of_training, training_of

from infra.weights.safetensors_file import write
from pipelines.train_hash import recipe_hash
from pipelines.train_recipe import TrainRecipe, load_train_recipe


def started_from(weights: dict[str, Any]) -> str:
    return recipe_hash(training_of(start={"weights": weights}))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"precision": "bfloat16"},
        {"augment": {"kind": "crop_flip"}},
        {"objective": {"kind": "gaussian", "sigma_train": 0.26}},
        {"workers": {"num_workers": 2}},
        {"workers": {"cpus": 2}},
        {"extra": {"data": {"source": "digits", "split": "train"}}},
        {"start": {"weights": {"untrained": 1}}},
        {"data": {"source": "digits", "split": "train", "subset": "first:20"}},
    ],
)
def test_what_changes_the_weights_changes_the_hash(changes: dict[str, Any]) -> None:
    assert recipe_hash(training_of()) != recipe_hash(training_of(**changes))


def test_what_only_changes_the_care_keeps_the_hash() -> None:
    careful = training_of(
        checkpoints={"every": 3, "uri": "s3://bucket/there"},
        workers={"max_failures": 9},
        loading={"tasks": 3},
        probe={"data": {"source": "digits", "split": "tune"}},
        tracking={"uri": "http://elsewhere"},
    )

    assert recipe_hash(careful) == recipe_hash(training_of())


def test_weights_of_a_file_count_by_content_not_by_place(tmp_path: Path) -> None:
    for name, value in (("a", 0.0), ("b", 0.0), ("c", 1.0)):
        write(tmp_path / f"{name}.safetensors", {"w": torch.full((2,), value)}, {})

    a, b, c = (
        started_from({"path": str(tmp_path / f"{n}.safetensors")}) for n in "abc"
    )

    assert a == b != c


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write(path, {"w": torch.zeros(2)}, {})
    before = started_from({"path": str(path)})

    write(path, {"w": torch.ones(2)}, {})

    assert started_from({"path": str(path)}) != before


def test_weights_of_a_training_count_by_what_it_trains(tmp_path: Path) -> None:
    path = tmp_path / "teacher.yaml"
    path.write_text(yaml.safe_dump(fields_of_training()))
    named = {"recipe": str(path)}
    plain = started_from(named)

    assert started_from({**named, "settings": ["checkpoints.every=7"]}) == plain
    assert started_from({**named, "settings": ["seed=5"]}) != plain


def test_a_training_that_needs_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "circle.yaml"
    fields = fields_of_training(start={"weights": {"recipe": str(path)}})
    path.write_text(yaml.safe_dump(fields))

    with pytest.raises(ValueError, match="Break the circle"):
        recipe_hash(load_train_recipe(str(path)))


def test_a_missing_file_is_refused_by_its_path() -> None:
    with pytest.raises(FileNotFoundError, match=r"/nowhere\.pt has none\. Correct"):
        started_from({"path": "/nowhere.pt"})


def test_equal_recipes_have_equal_hashes() -> None:
    again = TrainRecipe.model_validate(training_of().model_dump())

    assert recipe_hash(again) == recipe_hash(training_of())
