"""A small calibration, and a batch for it, that several test files share."""

from typing import Any

import numpy as np
import torch

from ops.classify.digits_cnn import DigitsCnn
from ops.losses.calibration import CalibrationObjective
from ops.losses.minibatch import Minibatch
from ops.schedules import Schedule
from ops.weights import WeightsRef

COSINE = Schedule(kind="cosine", num_timesteps=1000)
CLASSIFIER = DigitsCnn(weights=WeightsRef(untrained=0))


def objective(**changes: Any) -> CalibrationObjective:
    fields = {
        "schedule": COSINE,
        "classifier": CLASSIFIER,
        "sigma": (0.25, 0.5, 1.0),
        "brier_weight": 1.0,
    }
    return CalibrationObjective(**(fields | changes))


def twelve_images() -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((12, 1, 8, 8), dtype=np.float32))
    return Minibatch(image, torch.from_numpy(rng.integers(0, 10, 12)), seed=0, step=0)
