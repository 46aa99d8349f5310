from pathlib import Path
from typing import Any

import pytest
import ray
import torch
import yaml
from published_here import CLASSIFIER, WORKER, published, recipe_of

from infra.weights.load import load
from ops.classify.digits_cnn import DigitsCnn
from ops.classify.timm import Timm
from ops.purify.dncnn import Dncnn
from ops.weights import WeightsRef
from pipelines.train import ensure_trained
from pipelines.train_hash import recipe_hash
from pipelines.train_publish import publish
from pipelines.train_recipe import TrainRecipe, load_train_recipe


def test_a_published_classifier_says_how_it_was_trained(tmp_path: Path) -> None:
    path = published(CLASSIFIER, tmp_path)

    logits = DigitsCnn(weights=WeightsRef(path=str(path))).open(WORKER)
    _, config = load(path)

    assert logits(torch.zeros(100, 1, 8, 8)).shape == (100, 10)
    assert config["arch"] == "digits_cnn"
    assert config["input"] == "none"
    assert config["objective"] == "gaussian"
    assert config["sigma_train"] == 0.25
    assert config["data"] == "digits"
    assert config["training_recipe"] == recipe_hash(CLASSIFIER)


@torch.no_grad()
def test_a_published_denoiser_purifies_the_noise_it_was_trained_on(
    tmp_path: Path,
) -> None:
    sizes = {"depth": 3, "width": 4, "channels": 1}
    objective = {"kind": "denoise_mse", "sigma_train": 0.25}
    path = published(recipe_of({"kind": "dncnn", **sizes}, objective), tmp_path)
    purifier = Dncnn.model_validate({"weights": {"path": str(path)}, **sizes})

    purified = purifier.open(WORKER, 0.25)(torch.zeros(2, 1, 8, 8))

    assert purified.shape == (2, 1, 8, 8)
    _, config = load(path)
    assert config["arch"] == "dncnn"
    assert {name: config[name] for name in sizes} == sizes
    assert config["objective"] == "denoise_mse"
    with pytest.raises(ValueError, match=r"sigma_train 0\.25, the run has sigma 0\.5"):
        purifier.open(WORKER, 0.5)


@torch.no_grad()
def test_a_published_timm_network_opens_as_its_classifier(tmp_path: Path) -> None:
    network = {"kind": "timm", "name": "resnet18.tv_in1k", "num_classes": 4}
    objective = {"kind": "gaussian", "sigma_train": 0.25}
    path = published(recipe_of(network, objective), tmp_path)
    given = {"weights": {"path": str(path)}, "num_classes": 4}

    logits = Timm.model_validate({**given, "name": "resnet18.tv_in1k"}).open(WORKER)

    assert logits(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
    with pytest.raises(ValueError, match="name: resnet18"):
        Timm.model_validate({**given, "name": "resnet34.tv_in1k"}).open(WORKER)
    with pytest.raises(ValueError, match="input layer needs kind normalize"):
        Timm.model_validate(
            {**given, "name": "resnet18.tv_in1k", "input": "none"}
        ).open(WORKER)


def test_a_recipe_lies_beside_its_weights_and_trains_the_same(tmp_path: Path) -> None:
    recipe = load_train_recipe("train_digits_ddpm")
    path = published(recipe, tmp_path)

    beside = yaml.safe_load((path / "recipe.yaml").read_text())

    assert TrainRecipe.model_validate(beside) == recipe


def test_further_files_lie_beside_the_weights(tmp_path: Path) -> None:
    path = published(CLASSIFIER, tmp_path, {"curve.csv": b"step\n1\n"})

    assert (path.parent / "curve.csv").read_bytes() == b"step\n1\n"


def test_publishing_twice_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    path = published(CLASSIFIER, tmp_path)
    first = path.read_bytes()

    published(CLASSIFIER, tmp_path)

    assert path.read_bytes() == first
    assert list((tmp_path / "weights").iterdir()) == [path.parent]


def test_a_publication_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    odd: dict[str, Any] = {"0.weight": None}
    folder = tmp_path / "weights" / "name"
    with pytest.raises(AttributeError):
        publish(CLASSIFIER, odd, folder, beside={}, facts={})

    assert list((tmp_path / "weights").iterdir()) == []


def test_trained_weights_are_found_without_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFSMOOTH_CACHE", str(tmp_path))
    settings = ["objective.sigma_train=0.25"]
    recipe = load_train_recipe("train_digits_gaussian", settings)
    path = published(recipe, tmp_path)
    before = ray.is_initialized()

    assert ensure_trained("train_digits_gaussian", settings) == path
    assert ray.is_initialized() == before
