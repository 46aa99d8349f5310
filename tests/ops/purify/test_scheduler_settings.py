from collections.abc import Callable

import pytest

from ops.purify.scheduler_settings import prediction_of, schedule_of

LINEAR = {
    "beta_schedule": "linear",
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
}


def test_linear_schedule_keeps_its_betas_and_a_cosine_drops_them() -> None:
    linear = schedule_of(LINEAR, "a.safetensors")
    assert (linear.kind, linear.beta_start, linear.beta_end) == ("linear", 0.0001, 0.02)
    settings = LINEAR | {"beta_schedule": "squaredcos_cap_v2"}
    cosine = schedule_of(settings, "a.safetensors")
    assert (cosine.kind, cosine.num_timesteps) == ("cosine", 1000)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        LINEAR | {"beta_schedule": "sigmoid"},
        LINEAR | {"trained_betas": [0.1, 0.2]},
        LINEAR | {"rescale_betas_zero_snr": True},
        {"beta_schedule": "linear", "num_train_timesteps": 1000},
    ],
)
def test_schedule_that_no_formula_describes_is_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"of a\.safetensors has .* Set `schedule`"):
        schedule_of(settings, "a.safetensors")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LINEAR, "epsilon"),  # diffusers' default, where an old file does not say
        ({"prediction_type": "epsilon"}, "epsilon"),
        ({"prediction_type": "v_prediction"}, "v"),
        ({"prediction_type": "sample"}, "x0"),
    ],
)
def test_prediction_is_what_the_scheduler_says(settings: dict, expected: str) -> None:
    assert prediction_of(settings, "a.safetensors") == expected


@pytest.mark.parametrize("settings", [{}, {"prediction_type": "flow"}])
def test_unknown_prediction_is_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match="Set `prediction` to one of"):
        prediction_of(settings, "a.safetensors")


@pytest.mark.parametrize("read", [schedule_of, prediction_of])
def test_a_network_that_is_told_the_noise_itself_is_refused(read: Callable) -> None:
    settings = LINEAR | {"_class_name": "EDMEulerScheduler"}
    message = r"of a\.safetensors is an EDMEulerScheduler.*Take purifier\.kind edm"
    with pytest.raises(ValueError, match=message):
        read(settings, "a.safetensors")


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_train_timesteps", "x"), ("num_train_timesteps", 0), ("beta_end", None)],
)
def test_a_value_that_is_none_of_its_setting_is_refused_by_both(
    name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=rf"of net has .*{value!r}.*Correct") as said:
        schedule_of(LINEAR | {name: value}, "net")
    assert name in str(said.value)
    assert "pydantic" not in str(said.value)
