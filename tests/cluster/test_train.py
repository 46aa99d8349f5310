"""Trainings in real Ray Train workers, undisturbed and killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from trainings_made import fields_of_training

from infra.object_store import open_store
from infra.tracking_client import connect
from infra.weights.load import load
from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.weights import Weights, WeightsRef
from pipelines.train import ensure_all_trained, train
from pipelines.train_curve import read_curve
from pipelines.train_hash import recipe_hash
from pipelines.train_publish import CURVE_FILE, folder_of, weights_of
from pipelines.train_read import read_all
from pipelines.train_recipe import TrainRecipe, load_train_recipe
from pipelines.train_state import open_training

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("one_database"),
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

OVERFITTING = fields_of_training(
    data={"source": "digits", "split": "train", "subset": "first:20"},
    objective={
        "kind": "smoothadv",
        "sigma_train": 0.1,
        "attack": {"kind": "pgd_l2", "steps": 2},
        "attack_radius": 0.1,
    },
    optimiser={
        "steps": 30,
        "batch": 20,
        "learning_rate": 0.1,
        "algorithm": {
            "kind": "sgd"
        },  # AdamW amplifies the last bits of small gradients
        "warmup": 3,
        "weight_decay": 0.0,
        "ema_decay": 0.0,
    },
)
LONG = fields_of_training(
    data={"source": "digits", "split": "train"},
    optimiser={"steps": 160, "batch": 256, "learning_rate": 0.004},
    probe={"data": {"source": "digits", "split": "tune", "subset": "first:20"}},
    checkpoints={"every": 40},
)
Environment = dict[str, str]
PLACE = "s3://lab/checkpoints"


def written(fields: dict[str, Any], path: Path) -> str:
    path.write_text(yaml.safe_dump(fields))
    return str(path)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load(path)[0]


def curve_beside(path: Path) -> bytes:
    return (path.parent / CURVE_FILE).read_bytes()


def flat(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])


@pytest.fixture(scope="module")
def undisturbed(
    ray_cluster: None, one_database: str, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFSMOOTH_CACHE", str(folder / "cache"))
        return ensure_all_trained(
            [
                (written(OVERFITTING, folder / "overfitting.yaml"), ()),
                (written(LONG, folder / "long.yaml"), ()),
            ]
        )


def test_thirty_steps_learn_twenty_digits_by_heart(undisturbed: list[Path]) -> None:
    def read(reference: WeightsRef) -> Weights:
        return Weights("trained", *load(undisturbed[0]))

    image, label = read_all(TrainRecipe.model_validate(OVERFITTING).data)
    classifier = DigitsCnn(weights=WeightsRef(path=str(undisturbed[0])))
    logits = classifier.open(Worker(torch.device("cpu"), load=read))
    guessed = logits(torch.from_numpy(image)).argmax(dim=1)

    assert guessed.tolist() == label.tolist()


def test_killed_drivers_and_workers_leave_the_same_bits(
    undisturbed: list[Path],
    moto_server: Environment,
    use_server: Callable[[Environment], None],
    tmp_path: Path,
) -> None:
    use_server(moto_server)
    fields = {**LONG, "checkpoints": {"uri": PLACE, "every": 40}}
    recipe_file, cache = written(fields, tmp_path / "long.yaml"), tmp_path / "cache"
    name = recipe_hash(load_train_recipe(recipe_file))
    command = [sys.executable, "-c", DRIVER, recipe_file, str(cache)]

    with _started(command) as driver:
        _wait_until(lambda: bool(_saved()) or driver.poll() is not None)
        first = _saved()
        _kill([driver.pid, *_descendants(driver.pid)])  # as when the machine is lost
    assert first != []
    assert not folder_of(name, cache).exists()
    with _started(command) as driver:
        _wait_until(lambda: _saved() != first or driver.poll() is not None)
        _kill([pid for pid in _descendants(driver.pid) if _is_worker(pid)])
        assert driver.wait() == 0

    path = weights_of(load_train_recipe(recipe_file), folder_of(name, cache))
    assert path.read_bytes() == undisturbed[1].read_bytes()
    assert curve_beside(path) == curve_beside(undisturbed[1])
    assert _saved() == []


@contextlib.contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    driver = subprocess.Popen(command)
    try:
        yield driver
    finally:
        _kill([driver.pid, *_descendants(driver.pid)])
        driver.wait()


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _saved() -> list[str]:
    return [name for name in open_store(PLACE).names() if name.endswith(".pt")]


def _is_worker(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return "RayTrainWorker" in psutil.Process(pid).cmdline()[0]
    return False


def _descendants(pid: int) -> list[int]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


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
    # Gradients are summed in another order; workers that read the wrong images, or
    # attack what the other does not, end far apart.
    assert (flat(together) - alone).norm() < 1e-4 * moved


def test_a_curve_has_its_losses_and_probes_and_is_told_to_mlflow(
    undisturbed: list[Path], one_database: str
) -> None:
    curve = read_curve(curve_beside(undisturbed[1]))
    probed = [line["probe.accuracy_under_noise"] for line in curve]

    assert [line["step"] for line in curve] == [*range(4, 160, 4), 160]
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    assert probed[-1] > 0.7 > 0.4 > probed[0]

    client = connect(one_database)
    experiment = client.get_experiment_by_name("diffsmooth training")
    assert experiment is not None
    runs = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    (run,) = [runs[name] for name in runs if "long" in name]
    assert run.info.status == "FINISHED"
    told = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((p.step, p.value) for p in told) == [
        (int(line["step"]), line["loss"]) for line in curve
    ]
