from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from infra.weights.safetensors_file import read_config, read_safetensors, write

TENSORS = {
    "weight": torch.arange(24.0).reshape(1, 2, 3, 4),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "count": torch.tensor(7),
}
CONFIG = {"unet": {"block_out_channels": [16, 16]}, "sigma_train": 0.25}


def test_tensors_and_settings_come_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    channels_last = TENSORS["weight"].to(memory_format=torch.channels_last)
    write(path, TENSORS | {"weight": channels_last}, CONFIG)
    tensors, config = read_safetensors(path)
    assert config == CONFIG == read_config(path)
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_same_content_gives_the_same_bytes_and_leaves_nothing_beside(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    write(first, TENSORS, CONFIG)
    write(second, dict(reversed(TENSORS.items())), dict(reversed(CONFIG.items())))
    assert first.read_bytes() == second.read_bytes()
    assert sorted(tmp_path.iterdir()) == [first, second]


def test_who_may_read_is_who_may_read_any_new_file(tmp_path: Path) -> None:
    write(tmp_path / "net.safetensors", TENSORS, CONFIG)
    (tmp_path / "other").touch()
    new, other = ((tmp_path / name).stat() for name in ("net.safetensors", "other"))
    assert new.st_mode == other.st_mode


def test_file_written_elsewhere_has_no_settings(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "net.safetensors", metadata={"format": "pt"})
    assert read_safetensors(tmp_path / "net.safetensors")[1] == {}


def test_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write(path, TENSORS, CONFIG)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"net.safetensors cannot be read"):
        read_safetensors(path)
