import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from infra.weights.diffusers_folder import read_diffusers

UNET, SCHEDULER = {"in_channels": 3}, {"beta_schedule": "linear"}


def folder(at: Path, unet: str, scheduler: str | None) -> Path:
    (at / unet).mkdir(exist_ok=True)
    (at / unet / "config.json").write_text(json.dumps(UNET))
    save_file({"conv_in.bias": torch.ones(3)}, at / unet / "model.safetensors")
    if scheduler is not None:
        (at / scheduler).parent.mkdir(exist_ok=True)
        (at / scheduler).write_text(json.dumps(SCHEDULER))
    return at


@pytest.mark.parametrize(
    ("unet", "scheduler"),
    [
        ("unet", "scheduler/scheduler_config.json"),
        (".", "scheduler_config.json"),
        (".", "scheduler/scheduler_config.json"),
    ],
)
def test_tensors_and_both_settings_are_found_in_every_layout(
    unet: str, scheduler: str, tmp_path: Path
) -> None:
    tensors, config = read_diffusers(folder(tmp_path, unet, scheduler))
    assert tensors.keys() == {"conv_in.bias"}
    assert config == {"unet": UNET, "scheduler": SCHEDULER}


def test_bare_network_has_no_scheduler(tmp_path: Path) -> None:
    assert read_diffusers(folder(tmp_path, ".", None))[1] == {"unet": UNET}


def test_shards_are_joined_and_variants_refused(tmp_path: Path) -> None:
    folder(tmp_path, ".", None)
    save_file({"conv_out.bias": torch.ones(3)}, tmp_path / "model-2.safetensors")
    assert read_diffusers(tmp_path)[0].keys() == {"conv_in.bias", "conv_out.bias"}
    save_file({"conv_in.bias": torch.ones(3)}, tmp_path / "model.fp16.safetensors")
    with pytest.raises(ValueError, match=r"has 'conv_in.bias' in model.* again"):
        read_diffusers(tmp_path)


def test_folder_of_pickles_is_refused_with_what_it_has(tmp_path: Path) -> None:
    (folder(tmp_path, ".", None) / "model.safetensors").rename(tmp_path / "model.bin")
    with pytest.raises(ValueError, match=r"has \['config.json', 'model.bin'\]"):
        read_diffusers(tmp_path)


def test_folder_without_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no .*config.json"):
        read_diffusers(tmp_path)
