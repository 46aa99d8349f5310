"""Each of the two sigmas reaches the ops it is meant for, and no other."""

import logging
from typing import Any

import pytest
import torch

from ops.columns import Worker
from pipelines.recipe import Run, build_recipe
from pipelines.stages import ops_of, run_op

UNET = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "layers_per_block": 1,
    "block_out_channels": [8, 8],
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
    "add_attention": False,
}
SCHEDULE = {
    "kind": "linear",
    "num_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
}


def run_at(sigma: float, local_sigma: float) -> Run:
    raw: dict[str, Any] = {
        "data": {"source": "digits"},
        "sigma": [sigma],
        "purifier": {
            "kind": "one_shot_ddpm",
            "weights": {"untrained": 0},
            "prediction": "epsilon",
            "schedule": SCHEDULE,
            "unet": UNET,
        },
        "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
        "local": {"sigma": local_sigma, "num": 2},
    }
    return build_recipe(raw, "small").runs[0]


@pytest.mark.parametrize(
    # Timesteps of the published ADM models, as tests/golden has them.
    ("sigma", "local_sigma", "timestep"),
    [(0.25, 0.12, 145), (0.5, 0.25, 259), (1.0, 0.5, 396)],
)
def test_noise_and_timestep_are_of_the_certified_sigma(
    sigma: float, local_sigma: float, timestep: int, caplog: pytest.LogCaptureFixture
) -> None:
    add_noise, purify, smooth, _ = ops_of(run_at(sigma, local_sigma))
    worker = Worker(torch.device("cpu"), batch=100)
    block: dict[str, Any] = {
        "image": torch.full((1, 1, 8, 8), 0.5),
        "image_key": ["an image"],
        "stream": ["estimate"],
        "block": [0],
    }

    noisy = run_op(add_noise.open(worker), block)["noisy"]
    with caplog.at_level(logging.INFO):
        purify.open(worker)

    # 6,400 draws: a standard deviation is off by 5 % once in a million times.
    assert float((noisy - 0.5).std()) == pytest.approx(sigma, rel=0.05)
    assert f"timestep {timestep}," in caplog.text
    assert smooth.local.sigma == local_sigma
