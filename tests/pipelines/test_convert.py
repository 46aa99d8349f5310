"""Checkpoints of others to files that a recipe can name."""

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.weights.digest import digest
from infra.weights.load import load
from infra.weights.openai_layout import shapes
from infra.weights.openai_presets import preset
from infra.weights.openai_unet import OpenAiUnet
from ops.columns import Worker
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.weights import WeightsRef
from pipelines.convert import convert
from pipelines.worker import load_weights

FLAGS: dict[str, Any] = {
    "image_size": 32,
    "num_channels": 32,
    "num_res_blocks": 1,
    "num_heads": 4,
    "num_heads_upsample": -1,
    "num_head_channels": -1,
    "attention_resolutions": "16,8",
    "channel_mult": "1,2,3",
    "dropout": 0.1,
    "class_cond": False,
    "use_scale_shift_norm": True,
    "resblock_updown": True,
    "use_new_attention_order": False,
    "learn_sigma": True,
    "diffusion_steps": 4000,
    "noise_schedule": "cosine",
    "predict_xstart": False,
    "rescale_timesteps": True,
}
WORKER = Worker(torch.device("cpu"), batch=2, load=load_weights)


def openai_file(at: Path, **flags: Any) -> tuple[str, str]:
    """Write an untrained U-Net and its flags in the authors' layout; return both."""
    config = FLAGS | flags
    random, state = np.random.default_rng(0), {}
    decisive = {name: config[name] for name in config if name != "dropout"}
    for key, shape in shapes(OpenAiUnet(family="guided", **decisive)).items():
        scale = math.sqrt(1.5 / math.prod(shape[1:])) if len(shape) > 1 else 0.3
        state[key] = torch.tensor(random.normal(0.0, scale, shape), dtype=torch.float32)
    file, architecture = at / "net.pt", at / "net.json"
    torch.save(state, file)
    architecture.write_text(json.dumps({"family": "guided", "config": config}))
    return str(file), str(architecture)


def test_converted_unet_says_all_that_a_purifier_needs(tmp_path: Path) -> None:
    file, flags = openai_file(tmp_path)
    out = tmp_path / "net.safetensors"
    settings = [f"architecture={flags}", "licence=CC BY 4.0"]
    assert convert(file, settings, str(out)) == out

    tensors, config = load(out)
    assert len(tensors) > len(load(file)[0])
    assert config["source"] == {"name": "net.pt", "sha256": digest(file)}
    assert config["licence"] == "CC BY 4.0"
    assert config["rescale_timesteps"] is True
    purifier = OneShotDdpm(weights=WeightsRef(path=str(out)))
    purified = purifier.open(WORKER, 0.25)(torch.rand(2, 3, 32, 32))
    told = purifier.model_copy(update={"rescale_timesteps": True})
    untold = purifier.model_copy(update={"rescale_timesteps": False})
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    results = [p.open(WORKER, 0.25)(image) for p in (purifier, told, untold)]
    assert purified.shape == image.shape
    assert torch.equal(results[0], results[1])
    assert not torch.allclose(results[0], results[2], atol=1e-3)


def test_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    file, flags = openai_file(tmp_path)
    first, second = (tmp_path / f"{name}.safetensors" for name in "ab")
    for out in (first, second):
        convert(file, [f"architecture={flags}"], str(out))
    assert first.read_bytes() == second.read_bytes()


def test_conditional_network_is_converted_and_said_to_be_no_purifier(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, flags = openai_file(tmp_path, class_cond=True)
    out = convert(file, [f"architecture={flags}"], str(tmp_path / "net.safetensors"))
    assert "true label" in caplog.text
    assert len(load(out)[1]["fingerprint"]["values"]) == 256
    with pytest.raises(ValueError, match="needs an unconditional network"):
        OneShotDdpm(weights=WeightsRef(path=str(out))).open(WORKER, 0.25)


def test_flags_of_another_order_make_another_network(tmp_path: Path) -> None:
    file, flags = openai_file(tmp_path)
    right = convert(file, [f"architecture={flags}"], str(tmp_path / "a.safetensors"))
    file, flags = openai_file(tmp_path, use_new_attention_order=True)
    wrong = convert(file, [f"architecture={flags}"], str(tmp_path / "b.safetensors"))
    first, second = (
        torch.tensor(load(path)[1]["fingerprint"]["values"]) for path in (right, wrong)
    )
    assert (first - second).abs().max() > 0.01


def test_classifier_keeps_its_tensors_and_what_it_says(tmp_path: Path) -> None:
    state = {"1.module.fc.weight": torch.ones(2, 3), "1.module.fc.bias": torch.ones(2)}
    file = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": 90, "arch": "resnet50", "state_dict": state}, file)
    out = convert(str(file), ["licence=MIT"], str(tmp_path / "net.safetensors"))
    tensors, config = load(out)
    assert tensors.keys() == {"fc.weight", "fc.bias"}
    source = {"name": "checkpoint.pth.tar", "sha256": digest(file)}
    said = {"epoch": 90, "arch": "resnet50", "licence": "MIT"}
    assert config == said | {"source": source}
    again = convert(str(out), [], str(tmp_path / "again.safetensors"))
    assert load(again)[1]["licence"] == "MIT"


def test_raw_file_in_a_recipe_is_refused_with_the_command_to_type(
    tmp_path: Path,
) -> None:
    file, flags = openai_file(tmp_path)
    purifier = OneShotDdpm(weights=WeightsRef(path=file))
    with pytest.raises(ValueError, match=r"OpenAI's own files") as refused:
        purifier.open(WORKER, 0.25)
    found = re.search(
        r"diffsmooth convert (\S+) --set preset=NAME --out (\S+)", str(refused.value)
    )
    assert found is not None
    assert convert(found[1], [f"architecture={flags}"], found[2]).exists()


@pytest.mark.parametrize(
    ("settings", "out", "message"),
    [
        ([], "x.safetensors", "neither preset nor architecture for .*net.pt. No publi"),
        (["licence=MIT"], "x.safetensors", "architecture=FLAGS.json"),
        (["preset=64x64_diffusion"], "x.safetensors", "need a file that fits them; "),
        (["preset=adm"], "x.safetensors", "there is none named 'adm'"),
        (["preset=a", "architecture=b"], "x.safetensors", "has preset a and archi"),
        (["preset"], "x.safetensors", "it has 'preset'"),
        (["licence= "], "x.safetensors", "it has 'licence= '"),
        (["depth=3"], "x.safetensors", "preset, architecture, licence .* 'depth=3'"),
        ([], "x.pt", r"Write --out .*x\.safetensors"),
        ([], "no/such/x.safetensors", "there is no .*no/such"),
        ([], "there.safetensors", "is there already"),
    ],
)
def test_what_would_be_a_guess_or_overwrite_is_refused(
    settings: list[str], out: str, message: str, tmp_path: Path
) -> None:
    file, _ = openai_file(tmp_path)
    (tmp_path / "there.safetensors").touch()
    with pytest.raises(ValueError, match=message):
        convert(file, settings, str(tmp_path / out))
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("64x64_diffusion", "the published 64x64_diffusion, type: diffsmooth convert"),
        ("lsun_cat", "256x256_diffusion_uncond or lsun_bedroom or lsun_cat or .*=NAME"),
    ],
)
def test_presets_that_fit_are_named_and_none_is_taken(
    name: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = {
        k: torch.empty(s, device="meta") for k, s in shapes(preset(name)).items()
    }
    monkeypatch.setattr("pipelines.convert.load", lambda file: (tensors, {}))
    with pytest.raises(ValueError, match=advice):
        convert("net.pt", [], str(tmp_path / "net.safetensors"))


@pytest.mark.parametrize("name", ["adm_legacy_qkv", "cifar_rescaled_t"])
def test_authors_file_becomes_one_that_opens(name: str, tmp_path: Path) -> None:
    folder = os.environ.get("DIFFSMOOTH_DATA")
    if folder is None or not Path(folder).is_dir():
        pytest.skip(f"DIFFSMOOTH_DATA needs to name a folder of data; it is {folder!r}")
    path = Path(folder) / "parity" / name
    settings = [f"architecture={path.with_suffix('.json')}", "licence=none"]
    out = tmp_path / "net.safetensors"
    convert(str(path.with_suffix(".pt")), settings, str(out))
    purify = OneShotDdpm(weights=WeightsRef(path=str(out))).open(WORKER, 0.25)
    size = load(out)[1]["unet"]["sample_size"]
    assert purify(torch.rand(2, 3, size, size)).isfinite().all()
