from pathlib import Path

import pytest
import torch
import yaml
from published_here import WORKER, published
from pydantic import TypeAdapter

from ops.classify.classifier import Classifier
from ops.purify.purifier import Purifier
from pipelines.inspect_weights import inspect
from pipelines.train_recipe import load_train_recipe


def part_told(path: Path, part: str) -> object:
    (line,) = [a for a in inspect(str(path)).advice if a.startswith("In a recipe")]
    return yaml.safe_load(line.removeprefix("In a recipe: "))[part]


@pytest.mark.parametrize("name", ["train_digits_smoothadv", "train_digits_macer"])
def test_a_trained_classifier_opens_as_it_is_said(name: str, tmp_path: Path) -> None:
    path = published(load_train_recipe(name), tmp_path)

    told = part_told(path, "classifier")

    classifier = TypeAdapter(Classifier).validate_python(told)
    assert classifier.open(WORKER)(torch.zeros(100, 1, 8, 8)).shape == (100, 10)


@pytest.mark.parametrize("name", ["train_digits_dncnn", "train_digits_ddpm_v"])
def test_a_trained_denoiser_opens_as_it_is_said(name: str, tmp_path: Path) -> None:
    path = published(load_train_recipe(name), tmp_path)

    told = part_told(path, "purifier")

    purifier = TypeAdapter(Purifier).validate_python(told)
    purify = purifier.open(WORKER, sigma=0.25)
    assert purify(torch.zeros(100, 1, 8, 8)).shape == (100, 1, 8, 8)


def test_a_trained_network_of_edm_opens_as_it_is_said(tmp_path: Path) -> None:
    path = published(load_train_recipe("train_digits_edm"), tmp_path)

    told = inspect(str(path))

    assert told.facts["scheduler"] == "EDM's preconditioning, sigma_data 0.5"
    line = f"In a recipe: purifier: {{kind: edm, weights: {{path: {path}}}}}"
    assert told.advice == (line,)
    purifier = TypeAdapter(Purifier).validate_python(part_told(path, "purifier"))
    purify = purifier.open(WORKER, sigma=0.25)
    assert purify(torch.zeros(100, 1, 8, 8)).shape == (100, 1, 8, 8)
