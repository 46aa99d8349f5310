"""Put trained weights where they are found: whole, or not at all."""

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from infra.weights import safetensors_file
from ops.losses.ddpm import DdpmObjective
from ops.purify.scheduler_settings import KINDS
from ops.schedules import Schedule
from pipelines.train_network import ClassifierNetwork, UnetNetwork
from pipelines.train_recipe import TrainRecipe, recipe_hash

Tensors = Mapping[str, torch.Tensor]

WEIGHTS_FILE = "classifier.safetensors"
"""Name of a trained classifier's file in its folder."""


def folder_of(recipe: TrainRecipe, cache: Path) -> Path:
    """Return the folder that a recipe's weights have in the cache."""
    return cache / "weights" / recipe_hash(recipe)


def weights_of(recipe: TrainRecipe, cache: Path) -> Path:
    """Return what to load: the folder of a U-Net, the file of a classifier."""
    folder = folder_of(recipe, cache)
    return folder if recipe.network.kind == "unet" else folder / WEIGHTS_FILE


def publish(recipe: TrainRecipe, tensors: Tensors, cache: Path) -> None:
    """Write trained weights and their recipe into the cache under the recipe's hash.

    The folder appears with all its files or not at all; if it is there already, it
    stays, for its weights are the same.

    Args:
        recipe: what was trained.
        tensors: averaged weights by name.
        cache: folder of all trained weights.
    """
    target = folder_of(recipe, cache)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    partial.mkdir(parents=True)
    try:
        _write(partial, recipe, tensors)
        if not target.exists():
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(folder: Path, recipe: TrainRecipe, tensors: Tensors) -> None:
    resolved = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    (folder / "recipe.yaml").write_text(resolved)
    network, objective = recipe.network, recipe.objective
    if isinstance(network, UnetNetwork):
        assert isinstance(objective, DdpmObjective)  # the recipe refuses others
        write_unet(folder, network, objective.schedule, tensors)
        return
    assert not isinstance(objective, DdpmObjective)  # the recipe refuses it
    said = {
        "sigma_train": objective.sigma_train,
        "data": recipe.data.source.name,
        "training_recipe": recipe_hash(recipe),
    }
    write_classifier(folder, network, tensors, said)


def write_unet(
    folder: Path, network: UnetNetwork, schedule: Schedule, tensors: Tensors
) -> None:
    """Write a diffusion model as a folder that diffusers can load.

    Args:
        folder: exists and is empty.
        network: what was trained.
        schedule: the noise it was trained on.
        tensors: its weights.
    """
    config: Any = network.network().config
    settings = {name: config[name] for name in config if not name.startswith("_")}
    _write_json(folder / "unet" / "config.json", "UNet2DModel", settings)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    safetensors_file.write(weights, tensors, {})
    scheduler = folder / "scheduler" / "scheduler_config.json"
    _write_json(scheduler, "DDPMScheduler", scheduler_settings(schedule))


def scheduler_settings(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as diffusers' schedulers spell it, for predicted noise."""
    spelling = {kind: name for name, kind in KINDS.items()}
    betas = schedule.model_dump(include={"beta_start", "beta_end"}, exclude_none=True)
    return {
        "beta_schedule": spelling[schedule.kind],
        "num_train_timesteps": schedule.num_timesteps,
        "prediction_type": "epsilon",
        **betas,
    }


def write_classifier(
    folder: Path, network: ClassifierNetwork, tensors: Tensors, said: Mapping[str, Any]
) -> None:
    """Write a classifier's tensors with what a reader must know of them.

    Args:
        folder: exists.
        network: what was trained.
        tensors: its weights.
        said: how it was trained: noise, data, recipe.
    """
    layer = network.input
    config = {
        "arch": network.kind,
        **network.model_dump(exclude={"kind", "input"}),
        "input": layer.kind,
        "mean": list(layer.mean),
        "std": list(layer.std),
        **said,
    }
    safetensors_file.write(folder / WEIGHTS_FILE, tensors, config)


def _write_json(path: Path, class_name: str, settings: Mapping[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    content = {"_class_name": class_name, **settings}
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
