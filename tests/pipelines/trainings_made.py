"""Small trainings for tests."""

from typing import Any

from pipelines.train_recipe import TrainRecipe

UNET: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [8, 8],
    "layers_per_block": 1,
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "norm_num_groups": 8,
    "add_attention": False,
}
"""Settings of a U-Net for digits that computes in milliseconds."""


def fields_of_training(**changes: Any) -> dict[str, Any]:
    """Return the fields of a short training of a digits classifier."""
    fields: dict[str, Any] = {
        "data": {"source": "digits", "split": "train", "subset": "first:40"},
        "network": {"kind": "digits_cnn"},
        "objective": {"kind": "gaussian", "sigma_train": 0.25},
        "optimiser": {
            "steps": 30,
            "batch": 20,
            "learning_rate": 0.01,
            "warmup": 3,
            "ema_decay": 0.0,
        },
        "checkpoints": {"every": 10},
    }
    return fields | changes


def training_of(**changes: Any) -> TrainRecipe:
    """Return a short training of a digits classifier."""
    return TrainRecipe.model_validate(fields_of_training(**changes))
