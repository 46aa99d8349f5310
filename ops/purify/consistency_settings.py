"""What a scheduler configuration says of a consistency model."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ops.purify.consistency_scalings import ConsistencySettings
from ops.purify.scheduler_settings import CONSISTENCY_SCHEDULER, misfit

NAMES = {
    "num_train_timesteps": "num_levels",
    "sigma_min": "lowest",
    "sigma_max": "highest",
    "sigma_data": "sigma_data",
    "rho": "rho",
}
"""Our names of diffusers' settings."""

TIME_FACTOR = "time_factor"
"""A key of ours beside those of diffusers; public files lack it, for all of them tell
their networks 1000 times a quarter of the level's logarithm."""


def consistency_scheduler(settings: ConsistencySettings) -> dict[str, Any]:
    """Return what a consistency model was trained for, as diffusers writes it.

    Args:
        settings: of the model.

    Returns:
        Content of a scheduler_config.json.
    """
    theirs = {name: getattr(settings, ours) for name, ours in NAMES.items()}
    return {
        "_class_name": CONSISTENCY_SCHEDULER,
        **theirs,
        TIME_FACTOR: settings.time_factor,
    }


def settings_of(scheduler: Mapping[str, Any], source: str) -> ConsistencySettings:
    """Return what a consistency model was trained for.

    Args:
        scheduler: content of a scheduler_config.json.
        source: what to call the weights in an error.

    Raises:
        ValueError: it is that of no consistency model, a setting is missing, or they do
            not go together.
    """
    name = scheduler.get("_class_name")
    if name != CONSISTENCY_SCHEDULER:
        raise ValueError(
            f"A consistency purifier needs a consistency model, with a "
            f"{CONSISTENCY_SCHEDULER}; the scheduler of {source} is "
            f"{'of unknown class' if name is None else f'an {name}'}. Take weights of "
            f"a consistency model, set `model` in the recipe, or take kind "
            f"one_shot_ddpm or edm."
        )
    missing = [key for key in NAMES if key not in scheduler]
    if missing:
        raise ValueError(
            f"A consistency purifier needs {missing[0]} in the scheduler's settings; "
            f"the scheduler of {source} has none. Set `model` in the recipe."
        )
    said = {ours: scheduler[theirs] for theirs, ours in NAMES.items()}
    if TIME_FACTOR in scheduler:
        said[TIME_FACTOR] = scheduler[TIME_FACTOR]
    try:
        return ConsistencySettings.model_validate(said)
    except ValidationError as error:
        theirs = {ours: name for name, ours in NAMES.items()}
        raise misfit(error, source, theirs) from error
