from collections.abc import Callable

import pytest
import torch

from infra.weights.load import load
from ops.columns import Worker
from ops.weights import Weights, WeightsRef


def read(reference: WeightsRef) -> Weights:
    assert reference.path is not None
    return Weights(reference.path, *load(reference.path, reference.format))


@pytest.fixture
def worker() -> Callable[..., Worker]:
    """Return what makes a worker that reads weights from disk."""

    def make(precision: torch.dtype = torch.float32) -> Worker:
        return Worker(torch.device("cpu"), precision=precision, batch=4, load=read)

    return make
