"""Pickles of EDM's code, read as tensors and settings."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edm_pickles_made import ARGUMENTS, importable, reconstruct, write_edm_pickle

from infra.weights.edm_pickle import is_edm_pickle, read_edm_pickle
from infra.weights.load import licence_of, load


def test_tensors_and_settings_are_those_that_were_pickled(tmp_path: Path) -> None:
    path = tmp_path / "net.pkl"
    network = write_edm_pickle(path)
    tensors, config = load(path)
    state = network.state_dict()
    assert tensors.keys() == {f"model.{name}" for name in state}
    assert all(torch.equal(tensors[f"model.{name}"], state[name]) for name in state)
    kept = ("img_resolution", "img_channels", "label_dim", "model_channels")
    lists = ("channel_mult", "num_blocks", "attn_resolutions", "resample_filter")
    assert config == {
        "arch": "song_unet",
        "network": {name: ARGUMENTS[name] for name in (*kept, *lists)},
        "preconditioning": {"sigma_data": 0.7},
        "licence": "CC BY-NC-SA 4.0",
    }


def test_such_a_file_is_known_by_what_it_says(tmp_path: Path) -> None:
    write_edm_pickle(tmp_path / "net.pkl")
    torch.save({"model": {"a": torch.ones(1)}}, tmp_path / "other.pkl")
    assert is_edm_pickle(tmp_path / "net.pkl")
    assert not is_edm_pickle(tmp_path / "other.pkl")
    assert load(tmp_path / "other.pkl")[0].keys() == {"a"}
    assert licence_of(tmp_path / "net.pkl") == "CC BY-NC-SA 4.0"
    assert licence_of(tmp_path / "other.pkl") is None
    (tmp_path / "net.pkl").rename(tmp_path / "net.odd")
    assert load(tmp_path / "net.odd", "edm_pickle")[1]["arch"] == "song_unet"


class Call:
    """Calls what it is told when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (5,), (1,)),
        (3, (2,), (1,)),
        (0, (2, 2), (3, 1)),
        (-1, (2,), (1,)),
        (3, (2,), (-1,)),
        (0, (1 << 32, 1 << 32), (0, 0)),
        (0, (100,), (0,)),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(
    offset: int, size: tuple, stride: tuple, tmp_path: Path
) -> None:
    storage = torch.arange(4.0).untyped_storage()
    typed = torch.storage.TypedStorage(
        wrap_storage=storage, dtype=torch.float32, _internal=True
    )
    rebuild = torch._utils._rebuild_tensor_v2
    wrong = Call(rebuild, typed, offset, size, stride, False, {})
    (tmp_path / "net.pkl").write_bytes(pickle.dumps({"ema": wrong}))
    with pytest.raises(ValueError, match=r"net\.pkl .*reaches beyond its storage of 4"):
        read_edm_pickle(tmp_path / "net.pkl")


def test_tensors_of_every_layout_are_read(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    kinds = {
        "transposed": whole.T,
        "part": whole[1:3, ::2],
        "half": whole.half(),
        "counter": torch.tensor(3),
        "none": torch.zeros(0, 4),
    }
    with importable():
        meta = {"class_name": "EDMPrecond", "state": module(_buffers=kinds)}
        content = {"ema": Call(reconstruct, meta)}
        (tmp_path / "net.pkl").write_bytes(pickle.dumps(content))
    tensors, _ = read_edm_pickle(tmp_path / "net.pkl")
    assert tensors.keys() == kinds.keys()
    assert all(torch.equal(tensors[name], kinds[name]) for name in kinds)
    assert all(tensors[name].dtype == kinds[name].dtype for name in kinds)


def module(**parts: Any) -> dict[str, Any]:
    arguments = {"_init_args": (8, 1), "_init_kwargs": ARGUMENTS}
    empty = {"_parameters": {}, "_buffers": {}, "_modules": {}}
    return empty | arguments | parts


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (module(_buffers={"a": 3}), "a int where a module's part should be"),
        (module(_modules={"a": {}}), "a dict where a module's part should be"),
        ({"_parameters": {}}, "cannot be read"),
        (module(_init_kwargs={"channel_mult": {1: 2}}), "channel_mult is a dict"),
        (module(_init_kwargs={"sigma_data": "a"}), "has sigma_data 'a'"),
        (module(_init_kwargs={"model_type": "DiT"}), "has model_type 'DiT'"),
    ],
)
def test_modules_of_another_form_are_refused(
    state: dict, found: str, tmp_path: Path
) -> None:
    with importable():
        meta = {"class_name": "EDMPrecond", "state": state}
        content = pickle.dumps({"ema": Call(reconstruct, meta)})
    (tmp_path / "net.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=rf"net\.pkl .*{found}"):
        read_edm_pickle(tmp_path / "net.pkl")


def test_a_module_in_two_places_is_refused(tmp_path: Path) -> None:
    with importable():
        inner = Call(reconstruct, {"class_name": "A", "state": module()})
        state = module(_modules={"x": inner, "y": inner})
        content = {
            "ema": Call(reconstruct, {"class_name": "EDMPrecond", "state": state})
        }
        (tmp_path / "net.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match="y is there twice"):
        read_edm_pickle(tmp_path / "net.pkl")


def test_another_preconditioning_is_refused(tmp_path: Path) -> None:
    write_edm_pickle(tmp_path / "net.pkl", class_name="VPPrecond")
    with pytest.raises(
        ValueError, match=r"class EDMPrecond .*net\.pkl has a VPPrecond"
    ):
        read_edm_pickle(tmp_path / "net.pkl")


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    numbers = {"label_dim": np.int64(0), "sigma_data": np.float64(0.25)}
    write_edm_pickle(tmp_path / "net.pkl", **numbers)
    config = read_edm_pickle(tmp_path / "net.pkl")[1]
    assert config["preconditioning"] == {"sigma_data": 0.25}
    assert type(config["network"]["label_dim"]) is int
