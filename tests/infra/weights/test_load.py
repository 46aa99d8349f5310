import json
from pathlib import Path

import pytest
import torch

from infra.weights.load import licence_of, load
from infra.weights.safetensors_file import write

STATE = {"fc.bias": torch.arange(4.0)}


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.th", "checkpoint.pth.tar"])
def test_checkpoint_is_known_by_its_ending(name: str, tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "arch": "resnet50"}, tmp_path / name)
    tensors, config = load(str(tmp_path / name))
    assert torch.equal(tensors["fc.bias"], STATE["fc.bias"])
    assert config == {"arch": "resnet50"}


def test_safetensors_and_folders_are_known_by_what_they_are(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", STATE, {"sigma_train": 0.25})
    (tmp_path / "config.json").write_text(json.dumps({"in_channels": 3}))
    assert load(tmp_path / "model.safetensors")[1] == {"sigma_train": 0.25}
    assert load(tmp_path)[1] == {"unet": {"in_channels": 3}}


def test_named_format_goes_before_the_ending(tmp_path: Path) -> None:
    write(tmp_path / "weights.of.mine", STATE, {})
    with pytest.raises(ValueError, match=r"has '\.mine'. Set weights.format"):
        load(tmp_path / "weights.of.mine")
    assert load(tmp_path / "weights.of.mine", "safetensors")[0].keys() == STATE.keys()


def test_missing_file_is_named_with_the_folder_that_exists(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"though there is {tmp_path}\."):
        load(tmp_path / "no/such/net.pt")


def test_folder_is_no_checkpoint_and_a_file_no_folder(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"checkpoint need a file; .* is a folder"):
        load(tmp_path, "checkpoint")
    with pytest.raises(ValueError, match=r"diffusers need a folder; .* is a file"):
        load(tmp_path / "net.pt", "diffusers")


def test_licence_is_what_a_safetensors_file_says(tmp_path: Path) -> None:
    write(tmp_path / "said.safetensors", STATE, {"licence": "MIT"})
    write(tmp_path / "silent.safetensors", STATE, {})
    torch.save({"state_dict": STATE, "licence": "MIT"}, tmp_path / "net.pt")
    assert licence_of(tmp_path / "said.safetensors") == "MIT"
    assert licence_of(str(tmp_path / "silent.safetensors")) is None
    assert licence_of(tmp_path / "net.pt") is None
    assert licence_of(tmp_path) is None
    (tmp_path / "said.safetensors").rename(tmp_path / "said.odd")
    assert licence_of(tmp_path / "said.odd", "safetensors") == "MIT"
