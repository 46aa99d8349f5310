import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.weights.pickle_globals import wanted_globals

STATE = {"weight": torch.ones(2), "count": torch.tensor(3)}
CODE = {"args": argparse.Namespace(lr=0.1), "again": argparse.Namespace()}


class Marker:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("new", [True, False])
def test_all_that_a_checkpoint_wants_is_named(new: bool, tmp_path: Path) -> None:
    content = {"state_dict": STATE, **CODE, "best": np.float64(3)}
    path = tmp_path / "net.pt"
    torch.save(content, path, _use_new_zipfile_serialization=new)
    wanted = wanted_globals(path)
    assert {"argparse.Namespace", "numpy.dtype"} <= set(wanted)
    assert len(wanted) == len(set(wanted))
    assert not any("rebuild_tensor" in name for name in wanted)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_bare_pickle_of_any_protocol_is_seen_through(
    protocol: int, tmp_path: Path
) -> None:
    path = tmp_path / "net.pkl"
    content = {"a": [1, "x"], **CODE, "kind": argparse.ArgumentError}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    assert wanted_globals(path) == ["argparse.ArgumentError", "argparse.Namespace"]


@pytest.mark.parametrize("new", [True, False])
def test_safe_checkpoint_wants_nothing(new: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(
        {"state_dict": STATE, "epoch": 3}, path, _use_new_zipfile_serialization=new
    )
    assert wanted_globals(path) == []


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x05\x96" + b"\xff" * 8])
def test_what_is_no_pickle_wants_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(content)
    assert wanted_globals(tmp_path / "net.pt") == []


@pytest.mark.parametrize("new", [True, False])
def test_nothing_is_run_to_find_out(new: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / "net.pt", tmp_path / "mark"
    torch.save({"a": Marker(str(mark))}, path, _use_new_zipfile_serialization=new)
    assert any("touch" in name or "getattr" in name for name in wanted_globals(path))
    assert not mark.exists()
