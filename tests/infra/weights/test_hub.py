from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from huggingface_hub import constants

from infra.weights.hub import cached

COMMIT = "a" * 40


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return what puts an entry with some files into an otherwise empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))

    def make(files: Iterable[str], commit: str = COMMIT, ref: str = "main") -> Path:
        folder = tmp_path / "models--org--name"
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / ref).write_text(commit)
        snapshot = folder / "snapshots" / commit
        for number, name in enumerate(files):
            blob = folder / "blobs" / f"{commit[:4]}{number}"
            blob.parent.mkdir(exist_ok=True)
            blob.write_text(name)
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).symlink_to(blob)
        return snapshot

    return make


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["model.safetensors", "config.json"], "model.safetensors"),
        (["pytorch_model.bin", "model.safetensors"], "model.safetensors"),
        (["pytorch_model.bin", "config.json"], "pytorch_model.bin"),
        (["model_index.json", "unet/config.json", "README.md"], "."),
        (["config.json", "diffusion_pytorch_model.safetensors"], "."),
    ],
)
def test_weights_are_found_in_every_layout(
    entry: Callable[..., Path], files: list[str], found: str
) -> None:
    snapshot = entry(files)
    assert cached("org/name") == snapshot / found


def test_revision_is_a_branch_or_a_commit(entry: Callable[..., Path]) -> None:
    main = entry(["model.safetensors"])
    old = entry(["model.safetensors"], "b" * 40, "old")
    assert cached("org/name").parent == main
    assert cached("org/name", "old").parent == old
    assert cached("org/name", "b" * 40).parent == old
    with pytest.raises(FileNotFoundError, match="org/name at newer in the local cache"):
        cached("org/name", "newer")


def test_what_is_not_in_the_cache_is_not_fetched(
    entry: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} has none.*hf download"):
        cached("org/name")
    with pytest.raises(ValueError, match="org/name; it is 'a b'"):
        cached("a b")
    entry(["README.md", "flax_model.msgpack"])
    with pytest.raises(ValueError, match=r"has \['README.md', 'flax_model.msgpack'\]"):
        cached("org/name")
