"""Whether the weights a training begins with were trained for what it goes on with."""

import math
from collections.abc import Mapping
from typing import Any

from ops.losses.calibration import CalibrationObjective
from ops.losses.consistency_finetuning import ConsistencyFinetuning
from ops.losses.consistency_model import ConsistencyModelObjective
from ops.losses.diffusion_objective import DiffusionObjective
from ops.purify.consistency_settings import NAMES, TIME_FACTOR
from ops.purify.edm_network import USUAL_SIGMA_DATA
from ops.purify.scheduler_settings import CONSISTENCY_SCHEDULER, KINDS, PREDICTIONS
from ops.weights import Weights

CLASS = "_class_name"
FAMILY = "family"

PUBLIC_TIME_FACTOR = 1000.0
"""What public consistency models tell their networks, whose files do not say so."""

FIELDS = {
    **{theirs: f"objective.model.{ours}" for theirs, ours in NAMES.items()},
    TIME_FACTOR: f"objective.model.{TIME_FACTOR}",
}
FIELDS_OF_TIMESTEPS = {
    "beta_schedule": "objective.schedule.kind",
    "num_train_timesteps": "objective.schedule.num_timesteps",
    "beta_start": "objective.schedule.beta_start",
    "beta_end": "objective.schedule.beta_end",
    "prediction_type": "objective.prediction",
    "variance_type": "objective.learned_sigma",
}
OURS = {**KINDS, **PREDICTIONS}
"""Our names of what diffusers calls schedules and predictions."""


def require_same_settings(objective: Any, start: Weights) -> None:
    """Refuse weights that were trained for other settings than they are to be.

    Fine-tuning and calibration go on with the network as it is, so that all settings
    that both sides tell must agree. Distillation and consistency training change its
    levels, but not what it is told of them, nor how its images are scaled. A diffusion
    model needs a network that is told noise in the same way.

    Args:
        objective: what is trained for; any but those of diffusion models take all.
        start: weights to begin with; any without a scheduler's settings are taken.

    Raises:
        ValueError: a setting differs; the message names its field.
    """
    scheduler = start.config.get("scheduler")
    if not scheduler or not isinstance(objective, DiffusionObjective):
        return
    told, wanted = _completed(scheduler), _completed(objective.scheduler())
    for name in _compared(objective, told, wanted):
        if not _same(told[name], wanted[name]):
            raise _refusal(name, told[name], wanted, start.source)


def _compared(
    objective: DiffusionObjective, told: Mapping[str, Any], wanted: Mapping[str, Any]
) -> list[str]:
    """Return the settings that must agree, the family first."""
    if isinstance(objective, ConsistencyFinetuning | CalibrationObjective):
        both = told.keys() & wanted.keys()
        fields = FIELDS_OF_TIMESTEPS if wanted[FAMILY] == "DDPM" else FIELDS
        return [FAMILY, *(name for name in fields if name in both)]
    if isinstance(objective, ConsistencyModelObjective):
        # A network told timesteps learns anew what it is told.
        return ["sigma_data", TIME_FACTOR] if told[FAMILY] != "DDPM" else []
    return [FAMILY]


def _completed(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those that go without saying."""
    name = str(scheduler.get(CLASS))
    if name == CONSISTENCY_SCHEDULER:
        silent = {FAMILY: "consistency", TIME_FACTOR: PUBLIC_TIME_FACTOR}
    elif name.startswith("EDM"):
        silent = {FAMILY: "EDM", TIME_FACTOR: 1.0}
    else:
        return {FAMILY: "DDPM", "prediction_type": "epsilon", **scheduler}
    return {**silent, "sigma_data": USUAL_SIGMA_DATA, **scheduler}


def _same(told: object, wanted: object) -> bool:
    if isinstance(told, int | float) and isinstance(wanted, int | float):
        return math.isclose(told, wanted, rel_tol=1e-6)
    return told == wanted


def _refusal(
    name: str, told: object, wanted: Mapping[str, Any], source: str
) -> ValueError:
    if name == FAMILY:
        return ValueError(
            f"A training of {_article(wanted[FAMILY])} network needs to begin with "
            f"one; start.weights has the scheduler of {_article(told)} network, "
            f"{source}. Take other weights or another objective."
        )
    of_timesteps = wanted[FAMILY] == "DDPM"
    field = (FIELDS_OF_TIMESTEPS if of_timesteps else FIELDS)[name]
    return ValueError(
        f"{field} needs to be what start.weights were trained for; the scheduler of "
        f"{source} has {name} {_ours(told)}, the objective {_ours(wanted[name])}. "
        f"Change {field}, or begin with other weights."
    )


def _article(family: object) -> str:
    return f"{'an' if family == 'EDM' else 'a'} {family}"


def _ours(value: object) -> str:
    return (
        f"{value:g}" if isinstance(value, float) else str(OURS.get(str(value), value))
    )
