"""What a diffusers scheduler configuration says of schedule and prediction."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ops.purify.one_shot import Prediction
from ops.schedules import Schedule

KINDS = {
    "linear": "linear",
    "scaled_linear": "scaled_linear",
    "squaredcos_cap_v2": "cosine",
}
CONSISTENCY_SCHEDULER = "CMStochasticIterativeScheduler"
"""The scheduler of diffusers' consistency models."""

EDM_SCHEDULER = "EDMEulerScheduler"
"""The scheduler of networks preconditioned as Karras et al. do it."""

THEIRS = {"num_timesteps": "num_train_timesteps"}
"""Names of diffusers that differ from those of a schedule here."""

PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "epsilon",
    "v_prediction": "v",
    "sample": "x0",
}


def schedule_of(settings: Mapping[str, Any], source: str) -> Schedule:
    """Return the noise schedule that a scheduler configuration describes.

    Args:
        settings: content of a scheduler_config.json.
        source: what to call the weights in an error.

    Returns:
        The schedule.

    Raises:
        ValueError: there is none, it is that of a consistency model or of a
            preconditioned network, no formula here describes it, or a setting has an
            impossible value.
    """
    _refuse_consistency(settings, source)
    _refuse_edm(settings, source)
    name = settings.get("beta_schedule")
    odd = settings.get("trained_betas") or settings.get("rescale_betas_zero_snr")
    if name not in KINDS or odd:
        raise ValueError(
            f"A one-shot purifier needs beta_schedule to be one of {sorted(KINDS)}, "
            f"without trained_betas or rescale_betas_zero_snr; the scheduler of "
            f"{source} has {name!r}{' and one of these' if odd else ''}. Set "
            f"`schedule` in the recipe."
        )
    kind = KINDS[name]
    betas = {} if kind == "cosine" else _betas(settings, source)
    num_timesteps = _setting(settings, "num_train_timesteps", source)
    told = {"kind": kind, "num_timesteps": num_timesteps, **betas}
    try:
        return Schedule.model_validate(told)
    except ValidationError as error:
        raise misfit(error, source, THEIRS) from error


def misfit(
    error: ValidationError, source: str, theirs: Mapping[str, str]
) -> ValueError:
    """Return the refusal of a setting that has an impossible value.

    Args:
        error: of the first such setting.
        source: what to call the weights.
        theirs: diffusers' names of our settings, where they differ.
    """
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "its settings"
    return ValueError(
        f"A diffusion model needs scheduler settings that describe one; the scheduler "
        f"of {source} has for {theirs.get(where, where)} {first['input']!r}: "
        f"{first['msg']}. Correct it there, or in the recipe."
    )


def _refuse_consistency(settings: Mapping[str, Any], source: str) -> None:
    if settings.get("_class_name") == CONSISTENCY_SCHEDULER:
        raise ValueError(
            f"A one-shot purifier needs a diffusion model, which has timesteps; the "
            f"scheduler of {source} is a {CONSISTENCY_SCHEDULER}, that of a "
            f"consistency model. Take weights of a diffusion model, or a purifier for "
            f"consistency models."
        )


def _refuse_edm(settings: Mapping[str, Any], source: str) -> None:
    name = str(settings.get("_class_name"))
    if name.startswith("EDM"):
        raise ValueError(
            f"A one-shot purifier needs a network called at timesteps of a schedule; "
            f"the scheduler of {source} is an {name}, that of a network told the noise "
            f"itself. Take purifier.kind edm, or weights trained for ddpm."
        )


def _betas(settings: Mapping[str, Any], source: str) -> dict[str, Any]:
    names = ("beta_start", "beta_end")
    return {name: _setting(settings, name, source) for name in names}


def _setting(settings: Mapping[str, Any], name: str, source: str) -> object:
    if name not in settings:
        raise ValueError(
            f"A one-shot purifier needs {name} in the scheduler's settings; the "
            f"scheduler of {source} has none. Set `schedule` in the recipe."
        )
    return settings[name]


def prediction_of(settings: Mapping[str, Any], source: str) -> Prediction:
    """Return what the network was trained to predict.

    Args:
        settings: content of a scheduler_config.json; files from before diffusers 0.9
            do not say, and their networks predict the noise.
        source: what to call the weights in an error.

    Returns:
        The kind of prediction.

    Raises:
        ValueError: the configuration is empty, names another kind, or is that of a
            preconditioned network.
    """
    _refuse_edm(settings, source)
    name = settings.get("prediction_type", "epsilon") if settings else None
    if name not in PREDICTIONS:
        raise ValueError(
            f"A one-shot purifier needs to know what its network predicts; the "
            f"scheduler of {source} has prediction_type {name!r}. Set `prediction` to "
            f"one of {sorted(set(PREDICTIONS.values()))} in the recipe."
        )
    return PREDICTIONS[name]


def ddpm_scheduler(
    schedule: Schedule, prediction: Prediction, *, learned_sigma: bool = False
) -> dict[str, Any]:
    """Return a schedule and a prediction as diffusers writes them.

    Args:
        schedule: how fast image turns to noise.
        prediction: what the network returns.
        learned_sigma: whether further channels hold a reverse step's variance.

    Returns:
        Content of a scheduler_config.json.
    """
    kinds = {kind: name for name, kind in KINDS.items()}
    types = {prediction: name for name, prediction in PREDICTIONS.items()}
    betas = schedule.model_dump(include={"beta_start", "beta_end"}, exclude_none=True)
    learned = {"variance_type": "learned_range"} if learned_sigma else {}
    return {
        "_class_name": "DDPMScheduler",
        "beta_schedule": kinds[schedule.kind],
        "num_train_timesteps": schedule.num_timesteps,
        "prediction_type": types[prediction],
        **betas,
        **learned,
    }


def edm_scheduler(sigma_data: float) -> dict[str, Any]:
    """Return the preconditioning of a network as diffusers writes it.

    Args:
        sigma_data: std of clean images' pixels, on the [-1, 1] range.

    Returns:
        Content of a scheduler_config.json.
    """
    # What diffusers calls epsilon here is the sign of the network's output.
    return {
        "_class_name": EDM_SCHEDULER,
        "sigma_data": sigma_data,
        "prediction_type": "epsilon",
    }
