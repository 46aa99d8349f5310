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
from ops.losses.diffusion_objective import DiffusionObjective
from pipelines.train_network import UnetNetwork
from pipelines.train_recipe import TrainRecipe

Tensors = Mapping[str, torch.Tensor]

CURVE_FILE = "loss_curve.csv"
"""Name of the loss curve's file, beside the weights."""

WEIGHTS_FILES = {
    "classifier": "classifier.safetensors",
    "denoiser": "denoiser.safetensors",
}
"""Name of the weights' file in its folder, by what was trained."""


def folder_of(name: str, cache: Path) -> Path:
    """Return the folder that trained weights have in the cache.

    Args:
        name: hash of the recipe.
        cache: folder of all trained weights.
    """
    return cache / "weights" / name


def weights_of(recipe: TrainRecipe, folder: Path) -> Path:
    """Return what to load: the folder itself of a U-Net, else the file in it.

    Args:
        recipe: what was trained.
        folder: where it was published.
    """
    if isinstance(recipe.network, UnetNetwork):
        return folder
    return folder / WEIGHTS_FILES[recipe.network.trains]


def publish(
    recipe: TrainRecipe,
    tensors: Tensors,
    target: Path,
    *,
    beside: Mapping[str, bytes],
    facts: Mapping[str, str],
) -> None:
    """Write trained weights and their recipe into the cache under the recipe's hash.

    The folder appears with all its files or not at all; if it is there already, it
    stays, for its weights are the same.

    Args:
        recipe: what was trained.
        tensors: averaged weights by name.
        target: their folder, named by the recipe's hash.
        beside: further files of the folder, by name.
        facts: what the file of weights says besides its recipe.
    """
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    partial.mkdir(parents=True)
    try:
        _write(partial, recipe, {"training_recipe": target.name, **facts}, tensors)
        for file, content in beside.items():
            (partial / file).write_bytes(content)
        if not target.exists():
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(
    folder: Path, recipe: TrainRecipe, facts: Mapping[str, str], tensors: Tensors
) -> None:
    resolved = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    (folder / "recipe.yaml").write_text(resolved)
    network, objective = recipe.network, recipe.objective
    said = {
        **objective.said(),
        "data": recipe.data.source.name,
        **facts,
    }
    if recipe.extra is not None:
        said["extra_data"] = recipe.extra.data.source.name
    if recipe.start is not None:
        said["began_with"] = recipe.start.weights.model_dump_json(exclude_none=True)
    if isinstance(network, UnetNetwork):
        write_unet(folder, network, tensors, said)
        assert isinstance(objective, DiffusionObjective)  # validated with the recipe
        scheduler = objective.scheduler()
        _write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
        return
    path = weights_of(recipe, folder)
    safetensors_file.write(path, tensors, {**network.said(), **said})


def write_unet(
    folder: Path, network: UnetNetwork, tensors: Tensors, said: Mapping[str, Any]
) -> None:
    """Write a diffusion model's network as diffusers' pipelines have it.

    Args:
        folder: of the whole model; exists.
        network: what was trained.
        tensors: its weights.
        said: how it was trained: objective, data, recipe.
    """
    config: Any = network.network().config
    settings = {name: config[name] for name in config if not name.startswith("_")}
    content = {"_class_name": "UNet2DModel", **settings}
    _write_json(folder / "unet" / "config.json", content)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    safetensors_file.write(weights, tensors, said)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
