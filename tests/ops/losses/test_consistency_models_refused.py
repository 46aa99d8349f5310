from typing import Any

import pytest
import torch
from pydantic import ValidationError

from ops.columns import Worker
from ops.losses.consistency_distillation import ConsistencyDistillation
from ops.losses.consistency_finetuning import ConsistencyFinetuning
from ops.losses.consistency_training import ConsistencyTraining
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.purify.denoiser import Denoiser
from ops.purify.open_denoiser import DenoisingNetwork
from ops.weights import WeightsRef

WORKER = Worker(torch.device("cpu"))
L2 = {"kind": "l2"}
GROWTH = {"kind": "doubling", "first_levels": 3, "last_levels": 18, "steps_to_last": 9}


class Low(DenoisingNetwork, frozen=True, extra="forbid"):
    """A teacher that knows little noise."""

    weights: WeightsRef = WeightsRef(untrained=0)

    def open_denoiser(self, worker: Worker) -> Denoiser:
        return Denoiser(lambda noisy, level: (noisy, None), 5.0, "teacher.safetensors")


def test_a_teacher_of_lower_levels_is_refused() -> None:
    fields = {"teacher": Low(), "metric": L2}

    with pytest.raises(ValueError, match=r"at most 5 with teacher.safetensors; it is "):
        ConsistencyDistillation.model_validate(fields).open(WORKER)


def test_a_growth_that_ends_elsewhere_is_refused() -> None:
    fields = {"growth": GROWTH, "metric": L2, "model": {"num_levels": 19}}

    with pytest.raises(ValidationError, match="last_levels is 18 and"):
        ConsistencyTraining.model_validate(fields)


@pytest.mark.parametrize("sigma", [[41.0], [], [0.0]])
def test_a_sigma_beyond_the_levels_is_refused(sigma: list[float]) -> None:
    with pytest.raises(ValidationError, match="sigma"):
        ConsistencyFinetuning.model_validate({"sigma": sigma, "metric": L2})


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_a_slow_copy_that_never_moves_is_refused(decay: float) -> None:
    fields = {"growth": GROWTH, "metric": L2, "target_decay": decay}

    with pytest.raises(ValidationError, match="target_decay"):
        ConsistencyTraining.model_validate(fields)


def test_a_learner_without_a_slow_copy_is_refused() -> None:
    def network(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return scaled

    loss: Any = ConsistencyTraining.model_validate({"growth": GROWTH, "metric": L2})
    batch = Minibatch(torch.zeros(2, 1, 4, 4), torch.zeros(2).long(), seed=0, step=0)

    with pytest.raises(ValueError, match="needs a Learner with a target"):
        loss.open(WORKER)(Learner(network, torch.nn.Identity(), network), batch)
