from typing import Any

import pytest

from pipelines.train_recipe import TrainRecipe, load_train_recipe

UNET = {"kind": "unet", "settings": {}}
OPTIMISER = {"steps": 100, "batch": 64, "learning_rate": 0.001}


def raw(**changes: Any) -> dict[str, Any]:
    fields = {
        "data": {"source": "digits", "split": "train"},
        "network": {"kind": "digits_cnn"},
        "objective": {"kind": "gaussian", "sigma_train": 0.25},
        "optimiser": OPTIMISER,
    }
    return fields | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"source": "digits", "split": "test"}}, "Set data.split to train"),
        ({"network": {"kind": "unet", "settings": {}}}, "Train a unet for ddpm"),
        ({"optimiser": {**OPTIMISER, "accumulate": 3}}, "share evenly"),
        (
            {"probe": {"data": {"source": "digits", "split": "test"}}},
            "Set probe.data.split",
        ),
        (
            {"data": {"source": "hf_parquet", "path": "/x/test.parquet", "split": "a"}},
            "data has path 'test'",
        ),
        (
            {"data": {"source": "class_folders", "path": "/imagenet/val"}},
            "data has path 'val'",
        ),
        (
            {
                "extra": {
                    "data": {"source": "digits", "split": "train"},
                    "teacher": {
                        "kind": "digits_cnn",
                        "num_classes": 3,
                        "weights": {"untrained": 0},
                    },
                }
            },
            "extra.teacher needs the 10 classes of the network; it has 3",
        ),
        (
            {
                "network": UNET,
                "objective": {
                    "kind": "consistency_training",
                    "metric": {"kind": "l2"},
                    "growth": {
                        "kind": "doubling",
                        "first_levels": 3,
                        "last_levels": 18,
                        "steps_to_last": 100,
                    },
                },
            },
            "objective.growth.steps_to_last below its 100 steps; it is 100",
        ),
        (
            {"optimiser": {**OPTIMISER, "schedule": {"kind": "step", "at": [9, 100]}}},
            "optimiser.schedule.at below its 100 steps",
        ),
        (
            {
                "objective": {
                    "kind": "macer",
                    "sigma_train": 0.25,
                    "deferred_steps": 600,
                }
            },
            "objective.deferred_steps below its 100 steps",
        ),
        ({"network": {"kind": "digits_cnn", "num_classes": 1}}, "num_classes"),
        ({"checkpoints": {"uri": "gs://bucket"}}, "checkpoints.uri needs a folder"),
        (
            {"augment": {"kind": "crop_flip", "padding": -1}},
            "greater than or equal to 0",
        ),
        ({"workers": {"num_workers": 3}}, "share evenly"),
        ({"objective": {"kind": "gaussian", "sigma_train": -1}}, "sigma_train"),
        ({"objective": {"kind": "gaussian"}}, "sigma_train"),
        ({"network": {"kind": "resnet"}}, "digits_cnn"),
        ({"learning_rate": 0.1}, "learning_rate"),
        (
            {"optimiser": {"steps": 20, "batch": 64, "learning_rate": 0.001}},
            "warmup below steps",
        ),
        (
            {"optimiser": {"steps": 99, "batch": 64, "learning_rate": float("nan")}},
            "finite",
        ),
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrainRecipe.model_validate(raw(**changes))


def test_digits_are_trained_on_their_train_split_by_default() -> None:
    fields = raw()
    del fields["data"]

    assert TrainRecipe.model_validate(fields) == TrainRecipe.model_validate(raw())


def test_a_setting_reaches_its_field() -> None:
    recipe = load_train_recipe("train_digits_gaussian", ["optimiser.steps=77"])

    assert recipe.optimiser.steps == 77


def test_one_level_is_no_grid_and_is_refused_by_its_field() -> None:
    settings = ["objective.model.num_levels=1"]
    with pytest.raises(
        ValueError, match=r"needs 'objective\.model\.num_levels' to fit"
    ):
        load_train_recipe("train_digits_consistency_finetuned", settings)
