"""References to weights, resolved to files with digest and licence."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from infra.weights.digest import digest
from infra.weights.safetensors_file import write
from pipelines.identity import vote_identity
from pipelines.recipe import Recipe
from pipelines.weights import require_files, resolve

Make = Callable[..., Recipe]


def file_at(path: Path, licence: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, {"weight": torch.ones(2)}, {"licence": licence} if licence else {})
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of an entry ``org/name`` in a cache of its own."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    entry, commit = tmp_path / "models--org--name", "c" * 40
    (entry / "refs").mkdir(parents=True)
    (entry / "refs/main").write_text(commit)
    return file_at(entry / "snapshots" / commit / "model.safetensors", "MIT")


@pytest.mark.parametrize("fields", ["hub: org/name", "hub: org/name, revision: main"])
def test_hub_entry_becomes_its_file(recipe_of: Make, cache: Path, fields: str) -> None:
    recipe = recipe_of(f"classifier.weights={{{fields}}}")
    require_files(recipe)
    (run,) = resolve(recipe).runs
    found = run.classifier.weights
    assert (found.path, found.hub, found.revision) == (str(cache), None, None)
    assert found.sha256 == digest(cache)
    assert found.licence == "MIT"


def test_missing_hub_entry_is_refused_before_anything_is_trained(
    recipe_of: Make, cache: Path
) -> None:
    recipe = recipe_of("classifier.weights={hub: org/other}")
    with pytest.raises(FileNotFoundError, match="needs org/other in the local cache"):
        require_files(recipe)


def test_votes_depend_on_content_alone(
    recipe_of: Make, cache: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(cache.read_bytes())
    silent = file_at(tmp_path / "silent.safetensors")
    for one, same in (
        ("hub: org/name", f"path: {copy}"),
        (f"path: {silent}", f"path: {silent}, licence: MIT"),
        (f"path: {silent}", f"path: {silent}, format: safetensors"),
    ):
        first, second = (
            vote_identity(resolve(recipe_of(f"classifier.weights={{{x}}}")).runs[0])
            for x in (one, same)
        )
        assert first == second


@pytest.mark.parametrize(
    ("said", "here", "kept"),
    [("MIT", None, "MIT"), (None, "MIT", "MIT"), ("MIT", "MIT", "MIT"), (None,) * 3],
)
def test_licence_is_kept_whoever_says_it(
    recipe_of: Make, tmp_path: Path, said: str | None, here: str | None, kept: str
) -> None:
    path = file_at(tmp_path / "net.safetensors", said)
    licence = f", licence: {here}" if here else ""
    recipe = recipe_of(f"classifier.weights={{path: {path}{licence}}}")
    assert resolve(recipe).runs[0].classifier.weights.licence == kept


def test_two_licences_are_refused(recipe_of: Make, tmp_path: Path) -> None:
    path = file_at(tmp_path / "net.safetensors", "CC BY-NC-SA 4.0")
    recipe = recipe_of(f"classifier.weights={{path: {path}, licence: MIT}}")
    with pytest.raises(ValueError, match=r"recipe has 'MIT', and .* 'CC BY-NC"):
        require_files(recipe)


def test_weights_to_convert_are_refused_before_anything_is_trained(
    recipe_of: Make, tmp_path: Path
) -> None:
    raw = tmp_path / "adm.pt"
    torch.save({"input_blocks.0.0.weight": torch.ones(2)}, raw)
    recipe = recipe_of(
        f"purifier={{kind: one_shot_ddpm, weights: {{path: {raw}}}}}",
        "classifier.weights={recipe: train_digits_gaussian_000}",
    )
    with pytest.raises(ValueError, match="Convert it once: diffsmooth convert"):
        require_files(recipe)
