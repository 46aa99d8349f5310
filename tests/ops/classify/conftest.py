from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from infra.weights.load import load
from ops.classify.classifier import Classifier
from ops.classify.digits_cnn import DigitsCnn
from ops.classify.ensemble import Ensemble
from ops.columns import Worker
from ops.weights import Weights, WeightsRef

Network = Callable[[torch.Tensor], torch.Tensor]


def read(reference: WeightsRef) -> Weights:
    assert reference.path is not None
    return Weights(reference.path, *load(reference.path, reference.format))


@pytest.fixture
def worker() -> Callable[..., Worker]:
    """Return what makes a worker that reads weights from disk."""

    def make(precision: torch.dtype = torch.float32) -> Worker:
        return Worker(torch.device("cpu"), precision=precision, batch=4, load=read)

    return make


def ensemble(num: int = 3, **fields: Any) -> Ensemble:
    members = [
        {"kind": "digits_cnn", "weights": {"untrained": seed}} for seed in range(num)
    ]
    made = TypeAdapter(Classifier).validate_python(
        {"kind": "ensemble", "members": members, **fields}
    )
    assert isinstance(made, Ensemble)
    return made


@pytest.fixture
def ensemble_of() -> Callable[..., Ensemble]:
    """Return what makes an ensemble of some untrained members, with other fields."""
    return ensemble


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Network]:
    """Return what opens an ensemble whose members are given functions."""

    def make(networks: Sequence[Network], *, batch: int = 4, **fields: Any) -> Network:
        monkeypatch.setattr(
            DigitsCnn, "open", lambda member, _: networks[member.weights.untrained]
        )
        worker = Worker(torch.device("cpu"), batch=batch)
        return ensemble(len(networks), **fields).open(worker)

    return make
