from typing import Any

import pytest
from diffusers.schedulers.scheduling_consistency_models import (
    CMStochasticIterativeScheduler,
)

from ops.purify.consistency_scalings import ConsistencySettings
from ops.purify.consistency_settings import consistency_scheduler, settings_of

ODD = ConsistencySettings(
    sigma_data=0.6, lowest=0.01, highest=50.0, rho=5.0, num_levels=11, time_factor=1.0
)


@pytest.mark.parametrize("settings", [ConsistencySettings(), ODD])
def test_settings_come_back_as_written(settings: ConsistencySettings) -> None:
    assert settings_of(consistency_scheduler(settings), "net") == settings


def test_a_file_of_diffusers_means_what_diffusers_makes_of_it() -> None:
    theirs = CMStochasticIterativeScheduler(num_train_timesteps=40)
    settings = settings_of({**theirs.config, "_class_name": type(theirs).__name__}, "n")
    assert settings == ConsistencySettings(num_levels=40)
    grid = settings.levels().values()
    assert grid[::-1].tolist() == pytest.approx(theirs.sigmas.tolist(), rel=1e-9)


def test_diffusers_reads_what_is_written_here() -> None:
    written = consistency_scheduler(ODD)
    del written["time_factor"]
    theirs: Any = CMStochasticIterativeScheduler.from_config(written)
    ours = ODD.levels().values()
    assert theirs.sigmas.tolist() == pytest.approx(ours[::-1].tolist(), rel=1e-9)


def without(key: str) -> dict[str, Any]:
    written = consistency_scheduler(ODD)
    del written[key]
    return written


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ({}, "scheduler of net is of unknown class. Take weights of a consistency"),
        ({"_class_name": "EDMEulerScheduler"}, "of net is an EDMEulerScheduler. Take"),
        (without("rho"), "needs rho .* scheduler of net has none. Set `model`"),
        (without("num_train_timesteps"), "needs num_train_timesteps in the scheduler"),
        (
            {**consistency_scheduler(ODD), "sigma_min": "a"},
            "scheduler of net has for sigma_min 'a'.*Correct it",
        ),
    ],
)
def test_what_is_no_consistency_model_is_refused(
    scheduler: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        settings_of(scheduler, "net")
