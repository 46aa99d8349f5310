"""The networks that are measured; their weights are random."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from infra.images import decode
from infra.weights.safetensors_file import write
from ops.columns import Worker
from ops.initialise import initialise
from ops.noise import gaussian
from pipelines.recipe import Run, build_recipe

_UNET: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 6,
    "attention_head_dim": 64,
    "norm_num_groups": 32,
    "attn_norm_num_groups": 32,
    "norm_eps": 1e-5,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "resnet_time_scale_shift": "scale_shift",
}

UNET_CIFAR: dict[str, Any] = {
    **_UNET,
    "sample_size": 32,
    "layers_per_block": 3,
    "block_out_channels": [128, 256, 256, 256],
    "down_block_types": [
        "DownBlock2D",
        "AttnDownBlock2D",
        "AttnDownBlock2D",
        "DownBlock2D",
    ],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "downsample_type": "conv",
    "upsample_type": "conv",
}
"""improved-diffusion's CIFAR-10 U-Net, 52,546,438 parameters (Nichol and Dhariwal 2021,
arXiv:2102.09672): four heads at 256 channels."""

UNET_ADM: dict[str, Any] = {
    **_UNET,
    "sample_size": 256,
    "layers_per_block": 2,
    "block_out_channels": [256, 256, 512, 512, 1024, 1024],
    "down_block_types": ["ResnetDownsampleBlock2D"] * 3 + ["AttnDownBlock2D"] * 3,
    "up_block_types": ["AttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"] * 3,
    "downsample_type": "resnet",
    "upsample_type": "resnet",
}
"""The unconditional ADM for 256 x 256, 552,814,086 parameters (Dhariwal and Nichol
2021, arXiv:2105.05233)."""

UNET_TINY: dict[str, Any] = {
    **UNET_ADM,
    "layers_per_block": 1,
    "block_out_channels": [32, 64],
    "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "ResnetUpsampleBlock2D"],
}
"""The same kinds of layer in small, to see that a measurement runs."""

COSINE = {"kind": "cosine", "num_timesteps": 4000}
LINEAR = {
    "kind": "linear",
    "num_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
}
BEIT_LARGE = "beit_large_patch16_224.in22k_ft_in22k_in1k"
VIT_TINY = "test_vit.r160_in1k"
NUM_LOCAL = 5

LOGIT_STD = 0.02
"""Std of the CIFAR classifier's logits between images: so small that no vote is settled
before its last local noise, and every vote costs all its forwards."""


def cifar(folder: Path) -> dict[str, Any]:
    """Return the recipe of the CIFAR-10 yardstick: m = 5, batch 50.

    Args:
        folder: where the image and the classifier's weights are written.
    """
    weights = folder / "resnet110.safetensors"
    classifier = {
        "kind": "cifar_resnet",
        "depth": 110,
        "shortcut": "B",
        "input": "cifar10",
        "weights": {"untrained": 1},
    }
    raw = {
        "data": {"source": "class_folders", "path": _image(folder, 32)},
        "sigma": 0.25,
        "purifier": {
            **_one_shot(UNET_CIFAR, COSINE),
            "rescale_timesteps": True,
        },
        "classifier": classifier,
        "local": {"sigma": 0.12, "num": NUM_LOCAL},
        "batch": 50,
    }
    _write_resnet110(weights, raw)
    return {**raw, "classifier": {**classifier, "weights": {"path": str(weights)}}}


def imagenet(folder: Path, *, size: int, tiny: bool) -> dict[str, Any]:
    """Return the recipe of ADM-256 with BEiT-L, or of small stand-ins.

    Args:
        folder: where the image is written.
        size: height and width of the image.
        tiny: whether to take networks that run anywhere.
    """
    return {
        "data": {"source": "class_folders", "path": _image(folder, size)},
        "sigma": 0.5,
        "purifier": _one_shot(UNET_TINY if tiny else UNET_ADM, LINEAR),
        "classifier": {
            "kind": "timm",
            "name": VIT_TINY if tiny else BEIT_LARGE,
            "weights": {"untrained": 1},
        },
        "local": {"sigma": 0.25, "num": NUM_LOCAL},
    }


def run_of(raw: dict[str, Any], **fields: object) -> Run:
    """Return the run of a recipe with fields changed."""
    return build_recipe({**raw, **fields}, "bench").runs[0]


def _one_shot(unet: dict[str, Any], schedule: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "one_shot_ddpm",
        "weights": {"untrained": 0},
        "prediction": "epsilon",
        "schedule": schedule,
        "unet": unet,
    }


def _image(folder: Path, size: int) -> str:
    """Write a grey-noise image and return the folder of its class folder."""
    path = folder / f"images_{size}" / "0" / f"bench_{size}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(size).integers(64, 192, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return os.fspath(path.parent.parent)


@torch.no_grad()
def _write_resnet110(path: Path, raw: dict[str, Any]) -> None:
    """Write random weights whose votes are neither constant nor overflowing.

    54 residual blocks double the variance 54 times where the batch norms hold their
    first statistics; so these are taken from purified copies, and the last layer is
    centred on them.
    """
    if path.exists():
        return
    run = run_of(raw)
    network = initialise(run.classifier.network(), 1).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    images = _purified(run)
    network(images)
    logits = network.eval()(images)
    last = network.get_submodule("fc")
    assert isinstance(last, nn.Linear)
    scale = LOGIT_STD / float(logits.std(dim=0).mean())
    last.weight.mul_(scale)
    last.bias.copy_(-logits.mean(dim=0) * scale)
    write(path, network.state_dict(), {})


def _purified(run: Run) -> torch.Tensor:
    """Return purified copies with local noise, behind the input layer."""
    (entry,) = run.data.source.entries()
    (content,) = run.data.source.read([entry])
    image = torch.from_numpy(decode(content, run.data.preprocess, key=entry.key))
    shape = (3, 32, 32)
    purify = run.purifier.open(Worker(torch.device("cpu"), batch=run.batch), run.sigma)
    noisy = image + run.sigma * gaussian(1, 0, run.batch, shape)
    local_noise = run.local.sigma * gaussian(2, 0, run.batch, shape)
    assert run.classifier.kind == "cifar_resnet"
    shift = run.classifier.input.open(torch.device("cpu"))
    return shift(purify(noisy) + local_noise)
