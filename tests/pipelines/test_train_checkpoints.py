from pathlib import Path

import pytest
import torch
from trainings_made import training_of

from infra.object_store import open_store
from pipelines.train_checkpoints import Checkpoints
from pipelines.train_read import Refused
from pipelines.train_state import Training, open_training

CPU = torch.device("cpu")


def checkpoints(folder: Path, training: str = "one", keep: int = 1) -> Checkpoints:
    return Checkpoints(open_store(folder), training, keep)


def opened(step: int = 0, seed: int = 0) -> Training:
    training = open_training(training_of(seed=seed), CPU)
    training.step = step
    return training


def test_a_training_goes_on_from_its_last_state(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path, keep=2)
    kept.save(opened(step=9))
    kept.save(opened(step=10, seed=4))
    training = opened()

    checkpoints(tmp_path).restore_last(training, CPU)

    assert training.step == 10
    expected = opened(seed=4).network.state_dict()["0.weight"]
    assert torch.equal(training.network.state_dict()["0.weight"], expected)


def test_without_a_state_it_begins_at_the_start(tmp_path: Path) -> None:
    training = opened()

    checkpoints(tmp_path).restore_last(training, CPU)

    assert training.step == 0


def test_a_training_does_not_find_what_another_saved(tmp_path: Path) -> None:
    checkpoints(tmp_path, "other").save(opened(step=9))
    training = opened()

    checkpoints(tmp_path, "one").restore_last(training, CPU)

    assert training.step == 0


def test_as_many_states_stay_as_are_to_be_kept(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path, keep=2)
    for step in (9, 10, 100):
        kept.save(opened(step=step))

    assert [p.name for p in sorted((tmp_path / "one").iterdir())] == [
        "0000000010.pt",
        "0000000100.pt",
    ]
    kept.remove()
    assert list((tmp_path / "one").glob("*.pt")) == []


def test_it_goes_on_from_an_earlier_state_once_later_ones_are_gone(
    tmp_path: Path,
) -> None:
    kept = checkpoints(tmp_path, keep=2)
    for step in (10, 20):
        kept.save(opened(step=step))
    (tmp_path / "one" / "0000000020.pt").unlink()
    training = opened()

    kept.restore_last(training, CPU)

    assert training.step == 10


def test_a_damaged_state_is_refused_by_its_name(tmp_path: Path) -> None:
    checkpoints(tmp_path).save(opened(step=9))
    path = tmp_path / "one" / "0000000009.pt"
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(Refused, match=r"one/0000000009\.pt cannot be read"):
        checkpoints(tmp_path).restore_last(opened(), CPU)
