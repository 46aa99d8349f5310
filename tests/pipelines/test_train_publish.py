from pathlib import Path

import pytest
import ray
import torch
import yaml

from infra.weights.load import load
from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.initialise import initialise
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.scheduler_settings import prediction_of, schedule_of
from ops.schedules import Schedule
from ops.weights import Weights, WeightsRef
from pipelines.train import ensure_trained
from pipelines.train_publish import publish, scheduler_settings, weights_of
from pipelines.train_recipe import TrainRecipe, load_train_recipe, recipe_hash

CPU = torch.device("cpu")


def read(reference: WeightsRef) -> Weights:
    assert reference.path is not None
    return Weights(reference.path, *load(reference.path))


def published(name: str, cache: Path) -> tuple[TrainRecipe, Path]:
    recipe = load_train_recipe(name)
    network = initialise(recipe.network.network(), seed=3)
    publish(recipe, network.state_dict(), cache)
    return recipe, weights_of(recipe, cache)


def test_a_published_diffusion_model_opens_as_a_purifier(tmp_path: Path) -> None:
    _, path = published("train_digits_ddpm", tmp_path)

    purify = OneShotDdpm(weights=WeightsRef(path=str(path))).open(
        Worker(CPU, load=read), sigma=0.5
    )

    assert purify(torch.zeros(100, 1, 8, 8)).shape == (100, 1, 8, 8)


def test_a_published_classifier_says_how_it_was_trained(tmp_path: Path) -> None:
    recipe, path = published("train_digits_gaussian_025", tmp_path)

    logits = DigitsCnn(weights=WeightsRef(path=str(path))).open(Worker(CPU, load=read))
    _, config = load(path)

    assert logits(torch.zeros(100, 1, 8, 8)).shape == (100, 10)
    assert config["arch"] == "digits_cnn"
    assert config["input"] == "none"
    assert config["sigma_train"] == 0.25
    assert config["data"] == "digits"
    assert config["training_recipe"] == recipe_hash(recipe)


def test_a_recipe_lies_beside_its_weights_and_trains_the_same(tmp_path: Path) -> None:
    recipe, path = published("train_digits_ddpm", tmp_path)

    beside = yaml.safe_load((path / "recipe.yaml").read_text())

    assert TrainRecipe.model_validate(beside) == recipe


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(kind="cosine", num_timesteps=1000),
        Schedule(kind="linear", num_timesteps=10, beta_start=0.01, beta_end=0.2),
    ],
)
def test_a_schedule_survives_the_spelling_of_diffusers(schedule: Schedule) -> None:
    settings = scheduler_settings(schedule)

    assert schedule_of(settings, "test") == schedule
    assert prediction_of(settings, "test") == "epsilon"


def test_publishing_twice_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    _, path = published("train_digits_gaussian_025", tmp_path)
    first = path.read_bytes()

    published("train_digits_gaussian_025", tmp_path)

    assert path.read_bytes() == first
    assert list((tmp_path / "weights").iterdir()) == [path.parent]


def test_a_publication_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    recipe = load_train_recipe("train_digits_gaussian_025")

    with pytest.raises(AttributeError):
        publish(recipe, {"0.weight": None}, tmp_path)  # type: ignore[dict-item]

    assert list((tmp_path / "weights").iterdir()) == []


def test_trained_weights_are_found_without_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFSMOOTH_CACHE", str(tmp_path))
    _, path = published("train_digits_gaussian_025", tmp_path)
    before = ray.is_initialized()

    assert ensure_trained("train_digits_gaussian_025") == path
    assert ray.is_initialized() == before
