"""Pickles of EDM's code that want to run something, or were broken."""

import io
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edm_pickles_made import write_edm_pickle

from infra.weights.edm_globals import ALLOWED
from infra.weights.edm_pickle import read_edm_pickle
from infra.weights.load import load

LOADER = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"


class Making:
    """Makes a folder when it is unpickled by one who runs what it asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


def test_source_in_the_file_is_not_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    write_edm_pickle(tmp_path / "net.pkl", source=f"import os; os.mkdir({str(made)!r})")
    read_edm_pickle(tmp_path / "net.pkl")
    assert not made.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_whatever_wants_code_is_refused_by_name(protocol: int, tmp_path: Path) -> None:
    made, path = tmp_path / "made", tmp_path / "net.pkl"
    hostile = {"loss_fn": Making(made)}
    path.write_bytes(pickle.dumps(hostile | {"ema": 0}, protocol))
    with pytest.raises(ValueError, match=r"net\.pkl wants to run (posix|nt)\.mkdir"):
        read_edm_pickle(path)
    write_edm_pickle(path, beside=hostile)
    with pytest.raises(ValueError, match=r"net\.pkl wants to run (posix|nt)\.mkdir"):
        load(path)
    assert not made.exists()


def nested(content: bytes) -> bytes:
    """Return a pickle that asks for a storage in bytes."""
    load_bytes = b"ctorch.storage\n_load_from_bytes\n"
    length = struct.pack("<I", len(content))
    return b"\x80\x03" + load_bytes + b"B" + length + content + b"\x85R."


def test_bytes_of_a_storage_run_nothing_either(tmp_path: Path) -> None:
    made, path, saved = tmp_path / "made", tmp_path / "net.pkl", io.BytesIO()
    torch.save(Making(made), saved, _use_new_zipfile_serialization=False)
    path.write_bytes(nested(saved.getvalue()))
    with pytest.raises(ValueError, match=r"net\.pkl wants to run (posix|nt)\.mkdir"):
        read_edm_pickle(path)
    path.write_bytes(nested(pickle.dumps(Making(made))))
    with pytest.raises(ValueError, match=r"net\.pkl cannot be read \(Unsupp"):
        read_edm_pickle(path)
    assert not made.exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"c__builtin__\neval\n.", r"wants to run __builtin__\.eval"),
        (b"cbuiltins\ngetattr\n.", r"wants to run builtins\.getattr"),
        (
            b"\x80\x04\x8c\x17torch_utils.persistence\x8c\x27"
            b"_reconstruct_persistent_obj.__globals__\x93.",
            r"wants to run .*obj\.__globals__",
        ),
        (b"\x80\x02" + LOADER + b"}X\x03\x00\x00\x00runNsb.", "has no state to set"),
        (b"\x80\x02" + LOADER + b"N}X\x03\x00\x00\x00runNs\x86b.", "no state to set"),
        (b"\x80\x02cdnnlib\nEasyDict\n)\x81}b.", "has no state to set"),
        (b"\x80\x02ctorch.nn.modules.container\nModuleDict\n}b.", "cannot be read"),
        (b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aNsb.", "cannot be"),
        (b"\x80\x02" + LOADER + b"N\x85R.", "description of a module are a NoneType"),
        (b"\x80\x02cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R.", "has no module as its"),
        (b"\x80\x02}.", "has no module as its 'ema'"),
        (b"", "cannot be read"),
        (b"<html>", "cannot be read"),
    ],
)
def test_tricks_of_pickles_are_refused_and_change_nothing(
    content: bytes, found: str, tmp_path: Path
) -> None:
    before = dict(ALLOWED)
    functions = [getattr(value, "run", value) for value in ALLOWED.values()]
    (tmp_path / "net.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=rf"net\.pkl .*{found}"):
        read_edm_pickle(tmp_path / "net.pkl")
    assert before == ALLOWED
    assert functions == [getattr(value, "run", value) for value in ALLOWED.values()]


def test_every_byte_that_broke_is_told_and_none_raises_something_else(
    tmp_path: Path,
) -> None:
    path = tmp_path / "net.pkl"
    write_edm_pickle(path, source="x")
    whole, random = path.read_bytes(), np.random.default_rng(0)
    told = []
    for _ in range(100):
        broken = bytearray(whole[: random.integers(2000, len(whole))])
        for place in random.integers(0, 2000, 3):
            broken[place] = random.integers(0, 256)
        path.write_bytes(broken)
        try:
            read_edm_pickle(path)
        except ValueError as refusal:
            told.append(str(refusal))
    assert len(told) == 100
    assert all(str(path) in message for message in told)
