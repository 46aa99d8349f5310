"""A consistency model in the layout of diffusers: read, and told from a DDPM."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.pipelines.consistency_models.pipeline_consistency_models import (
    ConsistencyModelPipeline,
)
from diffusers.schedulers.scheduling_consistency_models import (
    CMStochasticIterativeScheduler,
)

from infra.weights.load import load
from ops.columns import Worker
from ops.initialise import initialise
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.unet import build_unet
from ops.weights import Weights, WeightsRef, fit_weights

LAYOUT: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": [32, 64],
    "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "ResnetUpsampleBlock2D"],
    "layers_per_block": 1,
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "resnet_time_scale_shift": "scale_shift",
    "attention_head_dim": 32,
    "attn_norm_num_groups": 32,
}
"""As in openai/diffusers-cd_bedroom256, but tiny."""


@pytest.fixture
def network() -> UNet2DModel:
    model = UNet2DModel(**LAYOUT)
    initialise(model, 0)
    return model.eval()


@pytest.fixture
def folder(network: UNet2DModel, tmp_path: Path) -> Path:
    scheduler = CMStochasticIterativeScheduler(num_train_timesteps=40)
    ConsistencyModelPipeline(network, scheduler).save_pretrained(tmp_path)
    return tmp_path


@torch.no_grad()
def test_network_and_settings_come_back_as_saved(
    folder: Path, network: UNet2DModel
) -> None:
    tensors, config = load(folder)
    assert config["scheduler"]["_class_name"] == "CMStochasticIterativeScheduler"
    assert config["scheduler"]["sigma_max"] == 80.0
    found = fit_weights(build_unet(config["unet"]), Weights("folder", tensors)).eval()
    image, time = torch.rand(1, 3, 16, 16), torch.tensor(123.4)
    assert torch.equal(found(image, time)[0], network(image, time)[0])


def test_consistency_model_is_no_one_shot_diffusion_model(
    folder: Path, worker: Callable[..., Worker]
) -> None:
    purifier = OneShotDdpm(weights=WeightsRef(path=str(folder)))
    with pytest.raises(ValueError, match=r"is a CMStochasticIterativeScheduler, that"):
        purifier.open(worker(), 0.25)
