import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.weights.digest import digest
from infra.weights.openai_layout import shapes
from infra.weights.openai_settings import settings_of
from infra.weights.openai_tensors import to_diffusers
from infra.weights.openai_unet import OpenAiUnet
from infra.weights.safetensors_file import write
from ops.classify.cifar_resnet import CifarResnet
from ops.purify.fingerprint import fingerprint_of
from ops.purify.unet import assemble_unet
from ops.weights import Weights, WeightsRef, fit_weights
from pipelines.inspect_weights import Inspection, inspect

UNET = OpenAiUnet(
    family="guided",
    image_size=32,
    channel_mult="1,2",
    num_channels=32,
    num_res_blocks=1,
    num_heads=4,
    attention_resolutions="16",
    learn_sigma=True,
    class_cond=False,
    use_scale_shift_norm=True,
    diffusion_steps=1000,
    noise_schedule="linear",
    predict_xstart=False,
    rescale_timesteps=False,
)


def openai_state() -> dict[str, torch.Tensor]:
    random, state = np.random.default_rng(0), {}
    for key, shape in shapes(UNET).items():
        scale = math.sqrt(1.5 / math.prod(shape[1:])) if len(shape) > 1 else 0.3
        state[key] = torch.tensor(random.normal(0.0, scale, shape), dtype=torch.float32)
    return state


def converted() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors, config = to_diffusers(UNET, openai_state(), "net.pt"), settings_of(UNET)
    network = assemble_unet(config["unet"], config["attention_heads"])
    fit_weights(network, Weights("net.pt", tensors))
    said = {"licence": "MIT", "source": {"name": "net.pt", "sha256": "12"}}
    known = fingerprint_of(network, config, "net.pt")
    return tensors, {**config, **said, "fingerprint": known}


def advice(inspection: Inspection) -> str:
    return "\n".join(inspection.advice)


def test_classifier_in_its_wrappers_is_seen_through(tmp_path: Path) -> None:
    network = CifarResnet(
        weights=WeightsRef(untrained=0), depth=20, shortcut="B", input="cifar10"
    ).network()
    state = {f"1.module.{k}": tensor for k, tensor in network.state_dict().items()}
    file = tmp_path / "checkpoint.pth.tar"
    torch.save({"arch": "cifar_resnet20", "epoch": 90, "state_dict": state}, file)

    inspection = inspect(str(file))

    facts, num = inspection.facts, sum(p.numel() for p in network.parameters())
    assert facts["format"] == "checkpoint"
    assert facts["sha256"] == digest(file)
    assert (facts["wrapper"], facts["prefix"]) == ("state_dict", "1.module.")
    assert facts["tensors"].startswith(f"{len(state)}, of float32: ")
    assert facts["parameters"] == f"{num:,}"
    assert (facts["first key"], facts["last key"]) == ("conv1.weight", "fc.bias")
    assert facts["network"] == "CIFAR ResNet-20, shortcut B"
    assert facts["licence"] == "not given"
    assert facts["says"] == "arch: cifar_resnet20, epoch: 90"
    assert "{kind: cifar_resnet, depth: 20, shortcut: B" in advice(inspection)
    assert f"diffsmooth convert {file} --out " in advice(inspection)


def test_input_layer_that_a_file_names_goes_into_the_recipes_line(
    tmp_path: Path,
) -> None:
    state = {"patch_embed.proj.weight": torch.ones(4, 3, 2, 2)}
    layer = {"input": "normalize", "mean": [0.5] * 3, "std": [0.25] * 3}
    file = tmp_path / "net.safetensors"
    write(file, state, layer)
    expected = "{kind: normalize, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}"
    assert f"kind: timm, name: NAME.TAG, input: {expected}" in advice(
        inspect(str(file))
    )


def test_openai_file_lists_what_fits_and_takes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.pt"
    torch.save(openai_state(), file)
    inspection = inspect(str(file))
    assert inspection.facts["network"] == "U-Net in OpenAI's layout, unconditional"
    assert "No preset fits" in advice(inspection)
    assert "--set architecture=FLAGS.json" in advice(inspection)

    monkeypatch.setattr(
        "pipelines.inspect_weights.fitting_presets", lambda tensors: ["one", "other"]
    )
    out = tmp_path / "net.safetensors"
    command = f"diffsmooth convert {file} --out {out} --set preset="
    assert {f"  {command}one", f"  {command}other"} <= set(inspect(str(file)).advice)


def test_converted_file_is_told_with_its_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    tensors, config = converted()
    write(file, tensors, config)
    facts = inspect(str(file)).facts
    assert facts["network"] == "U-Net of diffusers, unconditional"
    assert facts["unet"] == "32 px, 3 channels to 6, widths [32, 64], unconditional"
    assert facts["scheduler"] == "linear, 1000 timesteps, predicts epsilon"
    assert facts["converted from"] == "net.pt, sha256 12"
    assert facts["licence"] == "MIT"
    assert facts["says"] == "rescale_timesteps: False"
    assert facts["fingerprint"].startswith("met")
    expected = f"purifier: {{kind: one_shot_ddpm, weights: {{path: {file}}}}}"
    assert expected in advice(inspect(str(file)))

    order = UNET.model_copy(update={"use_new_attention_order": True})
    write(file, to_diffusers(order, openai_state(), "net.pt"), config)
    inspection = inspect(str(file))
    assert inspection.facts["fingerprint"].startswith("NOT MET. A converted network")
    assert "one_shot_ddpm" not in advice(inspection)
    assert "Convert the original file again" in advice(inspection)


@pytest.mark.parametrize(
    ("unet", "scheduler", "told", "use"),
    [
        ({}, {"beta_schedule": "linear"}, "linear, None", "kind: one_shot_ddpm"),
        (
            {},
            {"_class_name": "CMStochasticIterativeScheduler"},
            "CMStochasticIterativeScheduler, of a consistency model",
            "purifier: {kind: consistency, weights: {path: ",
        ),
        (
            {"num_class_embeds": 1000},
            {"_class_name": "CMStochasticIterativeScheduler"},
            "CMStochasticIterativeScheduler, of a consistency model",
            "}, label: {kind: averaged}}",
        ),
        (
            {"num_class_embeds": 1000},
            {"beta_schedule": "linear"},
            "linear",
            "No purifier: it would have to be told the true label",
        ),
        ({}, None, "none", "kind: one_shot_ddpm"),
    ],
)
def test_folder_of_diffusers_is_told_by_its_settings(
    unet: dict, scheduler: dict | None, told: str, use: str, tmp_path: Path
) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/config.json").write_text(json.dumps({"sample_size": 8} | unet))
    write(tmp_path / "unet/model.safetensors", {"conv_in.weight": torch.ones(2)}, {})
    if scheduler is not None:
        (tmp_path / "scheduler_config.json").write_text(json.dumps(scheduler))
    inspection = inspect(str(tmp_path))
    assert inspection.facts["format"] == "diffusers"
    assert inspection.facts["scheduler"].startswith(told)
    assert inspection.facts["fingerprint"] == "none"
    assert use in advice(inspection)


@pytest.mark.parametrize("new", [True, False])
def test_file_that_wants_code_is_told_and_not_read(new: bool, tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    content = {"state_dict": {"a": torch.ones(1)}, "args": argparse.Namespace(x=1)}
    torch.save(content, file, _use_new_zipfile_serialization=new)
    inspection = inspect(str(file))
    assert inspection.facts["wants to run"] == "argparse.Namespace"
    assert inspection.facts["sha256"] == digest(file)
    assert "safetensors" in advice(inspection)


def test_lines_stand_below_each_other() -> None:
    lines = Inspection({"a": "x", "file": "y"}, ("Do this.",)).lines()
    assert lines == ["a     x", "file  y", "", "Do this."]


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no .*net\.pt"):
        inspect(str(tmp_path / "net.pt"))
    (tmp_path / "net.pt").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"net\.pt cannot be read"):
        inspect(str(tmp_path / "net.pt"))
    (tmp_path / "net.odd").touch()
    with pytest.raises(ValueError, match=r"has '\.odd'"):
        inspect(str(tmp_path / "net.odd"))


def test_a_checkpoint_may_say_what_it_likes(tmp_path: Path) -> None:
    said = {"file": "other.pt", "format": "zip", "unet": 3, "source": "here"}
    torch.save(said | {"state_dict": {"a": torch.ones(1)}}, tmp_path / "net.pt")
    inspection = inspect(str(tmp_path / "net.pt"))
    assert inspection.facts["file"] == str(tmp_path / "net.pt")
    assert inspection.facts["network"] == "not one that is known here"
