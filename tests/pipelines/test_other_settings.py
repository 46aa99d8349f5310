"""Input layers that are tried beside the recipe's, before one network or several."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.weights.safetensors_file import write
from ops.classify.cifar_resnet import CifarResnet
from ops.initialise import initialise
from ops.weights import WeightsRef
from pipelines.other_settings import behind_other_inputs, candidates
from pipelines.recipe import Run
from pipelines.sample import Sample, classes_of
from pipelines.worker import WorkerSettings

WORKER = WorkerSettings("float32", 4, compiled=False, use_gpu=False, num_threads=None)
IMAGES = np.random.default_rng(0).random((16, 3, 32, 32), dtype=np.float32)
SAMPLE = Sample(tuple(map(str, range(16))), tuple(range(16)), tuple(IMAGES))


@pytest.fixture
def member(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return what makes a member with a file that says its input layer, or does not."""

    def make(seed: int, taken: str, said: dict[str, Any] | None = None) -> Any:
        fields = {"kind": "cifar_resnet", "depth": 8, "shortcut": "B", "input": taken}
        weights = WeightsRef(untrained=seed)
        network = initialise(
            CifarResnet.model_validate({**fields, "weights": weights}).network(), seed
        )
        with torch.no_grad():  # so that images differ in class
            scores = network.eval()(torch.from_numpy(IMAGES))
            network.get_parameter("fc.bias").sub_(scores.mean(dim=0))
        path = tmp_path / f"{seed}.safetensors"
        write(path, network.state_dict(), said or {})
        return {**fields, "weights": {"path": str(path)}}

    return make


def run_with(run_of: Callable[..., Run], classifier: dict[str, Any]) -> Run:
    run = run_of()
    return Run.model_validate({**run.model_dump(), "classifier": classifier})


@torch.no_grad()
def classes(run: Run) -> list[int]:
    return classes_of(run.classifier.open(WORKER.open()), torch.from_numpy(IMAGES))


def test_silent_members_of_an_ensemble_are_tried_behind_each_layer_together(
    run_of: Callable[..., Run], member: Callable[..., dict[str, Any]]
) -> None:
    said = {"input": "normalize", "mean": [0.5] * 3, "std": [0.5] * 3}
    fixed = member(2, "half", said)

    def members(layer: str) -> dict[str, Any]:
        silent = [member(0, layer), member(1, layer)]
        return {"kind": "ensemble", "members": [*silent, fixed]}

    run = run_with(run_of, members("none"))
    with torch.no_grad():
        found = behind_other_inputs(run, SAMPLE, WORKER.open())

    assert set(found) == set(candidates(None)) - {"none"}
    assert len({tuple(called.tolist()) for called in found.values()}) > 1
    for name, called in found.items():
        assert called.tolist() == classes(run_with(run_of, members(name)))


def test_members_behind_different_layers_are_tried_behind_all(
    run_of: Callable[..., Run], member: Callable[..., dict[str, Any]]
) -> None:
    ensemble = {"kind": "ensemble", "members": [member(0, "none"), member(1, "half")]}
    with torch.no_grad():
        found = behind_other_inputs(run_with(run_of, ensemble), SAMPLE, WORKER.open())
    assert set(found) == set(candidates(None))


def test_nothing_is_tried_where_every_file_says_its_layer_or_none_was_trained(
    run_of: Callable[..., Run], member: Callable[..., dict[str, Any]]
) -> None:
    told = member(0, "none", {"input": "none"})
    untrained = {**member(1, "none"), "weights": {"untrained": 1}}
    for classifier in (
        told,
        untrained,
        {"kind": "ensemble", "members": [told, untrained]},
    ):
        run = run_with(run_of, classifier)
        assert behind_other_inputs(run, SAMPLE, WORKER.open()) == {}
