import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.weights.checkpoint import open_checkpoint, read_checkpoint

STATE = {"conv1.weight": torch.ones(2, 3), "fc.bias": torch.zeros(4)}


def saved(path: Path, content: object, **settings: Any) -> Path:
    torch.save(content, path, **settings)
    return path


PREFIXES = ["", "module.", "1.", "1.module.", "model.", "module.1.", "model.1.module."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "net", "ema"])
def test_wrappers_and_prefixes_are_taken_off(
    wrapper: str | None, prefix: str, tmp_path: Path
) -> None:
    state = {f"{prefix}{key}": tensor for key, tensor in STATE.items()}
    content = state if wrapper is None else {wrapper: state, "epoch": 90}
    tensors, config = read_checkpoint(saved(tmp_path / "net.pt", content))
    assert tensors.keys() == STATE.keys()
    assert torch.equal(tensors["conv1.weight"], STATE["conv1.weight"])
    assert config == ({} if wrapper is None else {"epoch": 90})
    told = open_checkpoint(tmp_path / "net.pt")
    assert (told.wrapper, told.prefix) == (wrapper, prefix)


@pytest.mark.parametrize("average", ["ema", "model_ema", "state_dict_ema"])
@pytest.mark.parametrize("last", ["state_dict", "model", "net"])
def test_averaged_copy_goes_before_the_last_one(
    average: str, last: str, tmp_path: Path
) -> None:
    averaged = {key: tensor + 1 for key, tensor in STATE.items()}
    path = saved(tmp_path / "net.pt", {last: STATE, average: averaged})
    assert torch.equal(read_checkpoint(path)[0]["fc.bias"], averaged["fc.bias"])


def test_average_that_is_no_state_dict_is_not_passed_over(tmp_path: Path) -> None:
    content = {"model": STATE, "ema": {"decay": 0.999, "shadow": STATE}}
    with pytest.raises(ValueError, match="has 'decay' of another type"):
        read_checkpoint(saved(tmp_path / "net.pt", content))


def test_decay_of_an_average_is_a_setting_like_others(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.pt", {"model": STATE, "ema": 0.999})
    tensors, config = read_checkpoint(path)
    assert tensors.keys() == STATE.keys()
    assert config == {"ema": 0.999}


def test_prefix_that_only_some_names_have_is_part_of_the_names(tmp_path: Path) -> None:
    state = {"1.weight": torch.ones(1), "2.weight": torch.ones(1)}
    tensors, _ = read_checkpoint(saved(tmp_path / "net.pt", state))
    assert tensors.keys() == state.keys()


def test_only_plain_values_beside_the_tensors_are_settings(tmp_path: Path) -> None:
    content = {
        "state_dict": STATE,
        "arch": "cifar_resnet110",
        "mean": [0.5, 0.25],
        "optimizer": {"state": {0: torch.ones(2)}},
    }
    _, config = read_checkpoint(saved(tmp_path / "net.pt", content))
    assert config == {"arch": "cifar_resnet110", "mean": [0.5, 0.25]}


def test_file_format_from_before_torch_1_6_is_read(tmp_path: Path) -> None:
    old = saved(tmp_path / "net.tar", STATE, _use_new_zipfile_serialization=False)
    assert torch.equal(read_checkpoint(old)[0]["fc.bias"], STATE["fc.bias"])


@pytest.mark.parametrize("new", [True, False])
def test_pickle_that_wants_code_is_refused_by_name(new: bool, tmp_path: Path) -> None:
    content = {"state_dict": STATE, "args": argparse.Namespace(lr=0.1)}
    path = saved(tmp_path / "net.pt", content, _use_new_zipfile_serialization=new)
    with pytest.raises(ValueError, match=r"net.pt wants to run .*argparse.Namespace"):
        read_checkpoint(path)


@pytest.mark.parametrize("new", [True, False])
def test_every_byte_that_broke_is_told_and_none_raises_something_else(
    new: bool, tmp_path: Path
) -> None:
    path = saved(
        tmp_path / "net.pt", {"model": STATE}, _use_new_zipfile_serialization=new
    )
    whole, random = path.read_bytes(), np.random.default_rng(0)
    told = []
    for _ in range(200):
        broken = bytearray(whole)
        for place in random.integers(0, min(len(whole), 600), 3):
            broken[place] = random.integers(0, 256)
        path.write_bytes(broken)
        try:
            read_checkpoint(path)
        except ValueError as refusal:
            told.append(str(refusal))
    assert len(told) > 100
    assert all(str(path) in message for message in told)


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.pt", STATE)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"net.pt cannot be read"):
        read_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"net.pt cannot be read"):
        read_checkpoint(path)
    path.write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"net.pt cannot be read"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (torch.ones(2), "has a Tensor"),
        ({}, "has nothing"),
        ({"weight": torch.ones(1), "epoch": 3}, "has 'epoch' of another type"),
    ],
)
def test_file_without_tensors_by_name_is_refused(
    content: object, found: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=found):
        read_checkpoint(saved(tmp_path / "net.pt", content))
