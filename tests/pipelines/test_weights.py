"""References to weights, resolved to files with digest and licence."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from infra.weights.digest import digest
from infra.weights.safetensors_file import write
from ops.weights import WeightsRef
from pipelines import weights
from pipelines.identity import vote_identity
from pipelines.recipe import Recipe
from pipelines.weights import require_files, resolve, training_recipes

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


def ensemble(*members: str) -> str:
    each = ", ".join(f"{{kind: digits_cnn, weights: {{{one}}}}}" for one in members)
    return f"classifier={{kind: ensemble, members: [{each}]}}"


def test_every_member_gets_its_file_digest_and_licence(
    recipe_of: Make, cache: Path, tmp_path: Path
) -> None:
    other = file_at(tmp_path / "other.safetensors")
    members = ensemble("hub: org/name", f"path: {other}, licence: X", "untrained: 2")
    recipe = recipe_of(members)
    require_files(recipe)
    (run,) = resolve(recipe).runs
    first, second, third = (one.weights for one in run.classifier.members)
    assert (first.path, first.sha256) == (str(cache), digest(cache))
    assert (second.path, second.sha256) == (str(other), digest(other))
    assert (first.licence, second.licence) == ("MIT", "X")
    assert third == WeightsRef(untrained=2)


def test_a_missing_file_of_a_member_is_refused(recipe_of: Make, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pt"
    with pytest.raises(FileNotFoundError, match=r"missing\.pt has none"):
        require_files(recipe_of(ensemble("untrained: 0", f"path: {missing}")))


def test_each_training_is_asked_for_once_with_its_settings_and_put_in_its_place(
    recipe_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []

    def train(named: Sequence[tuple[str, tuple[str, ...]]]) -> list[Path]:
        asked.extend(named)
        return [file_at(tmp_path / f"{n}.safetensors") for n, _ in enumerate(named)]

    monkeypatch.setattr(weights, "ensure_all_trained", train)
    one = "recipe: train, settings: [seed=1]"
    sigma = "recipe: train, settings: {per_sigma: {0.25: [s=0.25], 0.5: [s=0.5]}}"
    recipe = recipe_of("sigma=[0.25, 0.5]", ensemble(one, sigma, "recipe: train"))

    resolved = resolve(recipe)

    trained = [("train", (x,)) for x in ("seed=1", "s=0.25")]
    trained += [("train", ()), ("train", ("s=0.5",))]
    assert asked == training_recipes(recipe) == trained
    places = [
        [Path(str(one.weights.path)).stem for one in run.classifier.members]
        for run in resolved.runs
    ]
    assert places == [["0", "1", "2"], ["0", "3", "2"]]
    assert training_recipes(resolved) == []
