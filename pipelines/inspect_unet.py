"""What the settings of a diffusers U-Net say, in words."""

from collections.abc import Mapping
from typing import Any

from ops.purify.fingerprint import FIELD, require_fingerprint
from ops.purify.scheduler_settings import CONSISTENCY_SCHEDULER, EDM_SCHEDULER
from ops.purify.unet import assemble_unet
from ops.weights import Weights, fit_weights


def mapping_of(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of the settings; none where a checkpoint has a plain value.

    Args:
        config: settings of a file.
        name: of the part.
    """
    part = config.get(name)
    return part if isinstance(part, Mapping) else {}


def told_unet(unet: Mapping[str, Any]) -> str:
    """Return what a U-Net is.

    Args:
        unet: arguments of ``diffusers.UNet2DModel``, as far as they are known.
    """
    conditional = _is_conditional(unet)
    return (
        f"{unet.get('sample_size')} px, {unet.get('in_channels', 3)} channels to "
        f"{unet.get('out_channels', 3)}, widths "
        f"{list(unet.get('block_out_channels', []))}, "
        f"{'class-conditional' if conditional else 'unconditional'}"
    )


def _is_conditional(unet: Mapping[str, Any]) -> bool:
    names = ("num_class_embeds", "class_embed_type")
    return any(unet.get(name) is not None for name in names)


def told_scheduler(scheduler: Mapping[str, Any]) -> str:
    """Return what a scheduler is.

    Args:
        scheduler: its settings; empty where there is none.
    """
    if not scheduler:
        return "none"
    if scheduler.get("_class_name") == EDM_SCHEDULER:
        return f"EDM's preconditioning, sigma_data {scheduler.get('sigma_data')}"
    if scheduler.get("_class_name") == CONSISTENCY_SCHEDULER:
        return f"{CONSISTENCY_SCHEDULER}, of a consistency model"
    return (
        f"{scheduler.get('beta_schedule')}, {scheduler.get('num_train_timesteps')} "
        f"timesteps, predicts {scheduler.get('prediction_type', 'epsilon')}"
    )


def told_fingerprint(weights: Weights) -> str:
    """Return whether the network returns what its file says it should.

    Args:
        weights: of a U-Net of diffusers.
    """
    if FIELD not in weights.config and "source" not in weights.config:
        return "none"
    try:
        network = assemble_unet(
            weights.config["unet"], weights.config.get("attention_heads")
        )
        require_fingerprint(
            fit_weights(network, weights), weights.config, weights.source
        )
    except ValueError as error:
        return f"NOT MET. {error}"
    return "met: the network returns what it returned when it was converted"


def unet_advice(file: str, config: Mapping[str, Any]) -> list[str]:
    """Return what to do with a U-Net: lines of a recipe.

    Args:
        file: its path.
        config: its settings, with ``unet`` among them.
    """
    scheduler = mapping_of(config, "scheduler")
    conditional = _is_conditional(config["unet"])
    if scheduler.get("_class_name") == CONSISTENCY_SCHEDULER:
        label = ", label: {kind: averaged}" if conditional else ""
        part = f"{{kind: consistency, weights: {{path: {file}}}{label}}}"
        return [f"In a recipe: purifier: {part}"]
    if conditional:
        return ["No purifier: it would have to be told the true label."]
    of_edm = scheduler.get("_class_name") == EDM_SCHEDULER
    kind = "edm" if of_edm else "one_shot_ddpm"
    return [f"In a recipe: purifier: {{kind: {kind}, weights: {{path: {file}}}}}"]
