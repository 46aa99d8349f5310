"""Trainings in real Ray Train workers, undisturbed and killed."""

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray.train
import torch
import yaml
from ray.train.torch import TorchTrainer

from infra.weights.load import load
from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.weights import Weights, WeightsRef
from pipelines.train import ensure_all_trained, train
from pipelines.train_data import read_images
from pipelines.train_loop import Diverged, open_training, run_training
from pipelines.train_publish import folder_of
from pipelines.train_recipe import TrainRecipe, load_train_recipe

pytestmark = [
    pytest.mark.ray,
    # Ray's trainer copies its own data settings, the deprecated ones among them.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]

NUM_SECONDS = 120
DRIVER = """
import sys
from pathlib import Path
from pipelines.train import train
from pipelines.train_recipe import load_train_recipe
train(load_train_recipe(sys.argv[1]), Path(sys.argv[2]))
"""


def raw(**changes: Any) -> dict[str, Any]:
    fields = {
        "data": {"source": "digits", "split": "train", "subset": "first:20"},
        "network": {"kind": "digits_cnn"},
        "objective": {"kind": "gaussian", "sigma_train": 0.0},
        "optimiser": {
            "steps": 30,
            "batch": 20,
            "learning_rate": 0.01,
            "warmup": 3,
            "ema_decay": 0.0,
        },
        "checkpoint_every": 10,
    }
    return fields | changes


OVERFITTING = raw()
LONG = raw(
    objective={"kind": "gaussian", "sigma_train": 0.25},
    optimiser={"steps": 160, "batch": 256, "learning_rate": 0.004},
    checkpoint_every=40,
)


def written(fields: dict[str, Any], path: Path) -> str:
    path.write_text(yaml.safe_dump(fields))
    return str(path)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load(path)[0]


def flat(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])


@pytest.fixture(scope="module")
def undisturbed(
    ray_cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFSMOOTH_CACHE", str(folder / "cache"))
        return ensure_all_trained(
            [
                written(OVERFITTING, folder / "overfitting.yaml"),
                written(LONG, folder / "long.yaml"),
            ]
        )


def test_thirty_steps_learn_twenty_digits_by_heart(undisturbed: list[Path]) -> None:
    def read(reference: WeightsRef) -> Weights:
        return Weights("trained", *load(undisturbed[0]))

    image, label = read_images(TrainRecipe.model_validate(OVERFITTING).data)
    classifier = DigitsCnn(weights=WeightsRef(path=str(undisturbed[0])))
    logits = classifier.open(Worker(torch.device("cpu"), load=read))
    guessed = logits(torch.from_numpy(image)).argmax(dim=1)

    assert guessed.tolist() == label.tolist()


def test_a_killed_training_goes_on_and_ends_with_the_same_bits(
    undisturbed: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe_file, cache = written(LONG, tmp_path / "long.yaml"), tmp_path / "cache"
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, recipe_file, str(cache)])
    saved = cache / "unfinished"
    try:
        _wait_until(lambda: _has_checkpoint(saved) or driver.poll() is not None)
        assert driver.poll() is None, "the training ended before its first checkpoint"
    finally:
        workers = _descendants(driver.pid)
        for pid in (driver.pid, *workers):  # as when the machine is lost
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        driver.wait()
    _wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    recipe = load_train_recipe(recipe_file)
    assert not folder_of(recipe, cache).exists()

    with caplog.at_level(logging.INFO, "pipelines.train"):
        path = train(recipe, cache)

    done_before = re.search(r"(\d+) of 160 steps were done before", caplog.text)
    assert done_before is not None
    assert int(done_before[1]) >= 40
    assert path.read_bytes() == undisturbed[1].read_bytes()
    assert list(saved.iterdir()) == []


def _has_checkpoint(saved: Path) -> bool:
    """Whether Ray Train's notes name a checkpoint and are wholly written."""
    for notes in saved.glob("*/checkpoint_manager_snapshot.json"):
        with contextlib.suppress(json.JSONDecodeError):
            return bool(json.loads(notes.read_text())["checkpoint_results"])
    return False


def _descendants(pid: int) -> list[int]:
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process that has just ended
            # The name, in brackets, may hold blanks; state and parent follow it.
            fields = status.read_text().rpartition(")")[2].split()
            parents[int(status.parent.name)] = int(fields[1])
    found = [pid]
    for parent in found:
        found.extend(child for child, of in parents.items() if of == parent)
    return found[1:]


def _wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + NUM_SECONDS
    while not happened():
        assert time.monotonic() < end, "nothing happened in two minutes"
        time.sleep(0.02)


def test_two_workers_learn_what_one_learns(
    undisturbed: list[Path], tmp_path: Path
) -> None:
    shared = TrainRecipe.model_validate({**OVERFITTING, "workers": {"num_workers": 2}})

    together = tensors(train(shared, tmp_path))

    alone = flat(tensors(undisturbed[0]))
    start = open_training(shared, torch.device("cpu")).network.state_dict()
    moved = (alone - flat(start)).norm()
    # Gradients are summed in another order, and AdamW amplifies the last bits of small
    # ones; workers that read the wrong images or noise end far apart.
    assert (flat(together) - alone).norm() < 0.02 * moved


def test_a_loss_that_is_no_number_stops_with_step_and_learning_rate() -> None:
    wild = {"steps": 30, "batch": 20, "learning_rate": 1e30, "warmup": 3}
    recipe = TrainRecipe.model_validate({**OVERFITTING, "optimiser": wild})
    image, label = map(torch.from_numpy, read_images(recipe.data))
    in_this_process = ray.train.ScalingConfig(num_workers=0)

    with pytest.raises(Diverged, match=r"at step \d+ and learning rate \S*e\+"):
        TorchTrainer(
            lambda: run_training(recipe, image, label), scaling_config=in_this_process
        ).fit()
