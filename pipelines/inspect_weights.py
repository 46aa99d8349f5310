"""What a file of weights holds, and what to type next."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from infra.weights.checkpoint import open_checkpoint
from infra.weights.digest import digest
from infra.weights.family import Family, family_of
from infra.weights.load import format_of, load
from infra.weights.openai_layout import is_openai
from infra.weights.openai_presets import fitting_presets
from infra.weights.pickle_globals import wanted_globals
from ops.purify.edm_network import is_edm_network
from ops.purify.fingerprint import FIELD
from ops.weights import Weights
from pipelines.inspect_edm import edm_advice, told_edm
from pipelines.inspect_unet import (
    mapping_of,
    told_fingerprint,
    told_scheduler,
    told_unet,
    unet_advice,
)

Tensors = Mapping[str, torch.Tensor]
Facts = dict[str, str]

STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")
"""Endings of what a batch norm counts; no parameters."""

SHOWN_APART = {"unet", "scheduler", "attention_heads", "source", "licence", FIELD}
SHOWN_OF_EDM = {"arch", "network", "preconditioning"}
"""Settings that are told in words of their own."""


@dataclass(frozen=True)
class Inspection:
    """What a file of weights holds, in words."""

    facts: Facts
    """By what they are about, in the order to show them."""

    advice: tuple[str, ...]
    """What to do next: commands, or lines of a recipe."""

    def lines(self) -> list[str]:
        """Return it as lines of text."""
        width = max(map(len, self.facts))
        told = [f"{name:<{width}}  {text}" for name, text in self.facts.items()]
        return [*told, "", *self.advice]


def inspect(file: str) -> Inspection:
    """Return what a file of weights holds, without running anything in it.

    Args:
        file: checkpoint, safetensors file, pickle of EDM, or folder of diffusers.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: the ending tells no format, or the file is damaged.
    """
    path = Path(file).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"inspect needs a file or folder; there is no {file}. Correct the path."
        )
    format = format_of(path)
    facts = {"file": file, "format": format, "sha256": digest(path)}
    wanted = wanted_globals(path) if format == "checkpoint" else []
    if wanted:
        return _unsafe(facts, wanted)
    tensors: Tensors
    if format == "checkpoint":
        checkpoint = open_checkpoint(path)
        tensors, config = checkpoint.tensors, checkpoint.config
        facts["wrapper"] = checkpoint.wrapper or "none"
        facts["prefix"] = checkpoint.prefix or "none"
    else:
        tensors, config = load(path)
    family = family_of({key: tuple(tensors[key].shape) for key in tensors})
    facts |= _of_tensors(tensors)
    named = config.get("arch", "not one that is known here")
    facts["network"] = family.text if family else str(named)
    facts |= _of_config(config, Weights(file, tensors, config))
    return Inspection(
        facts, tuple(_advice(facts, family, Weights(file, tensors, config)))
    )


def _unsafe(facts: Facts, wanted: list[str]) -> Inspection:
    told = {**facts, "wants to run": ", ".join(wanted)}
    advice = (
        "Not read: it is a program as much as it is data. Ask its authors for "
        "safetensors, or load it where you trust it and save its state_dict."
    )
    return Inspection(told, (advice,))


def _of_tensors(tensors: Tensors) -> Facts:
    parameters = [t for key, t in tensors.items() if not key.endswith(STATISTICS)]
    types = Counter(str(t.dtype).removeprefix("torch.") for t in tensors.values())
    keys = list(tensors)
    return {
        "tensors": f"{len(tensors)}, of {_listed(types)}",
        "parameters": f"{sum(tensor.numel() for tensor in parameters):,}",
        "first key": keys[0],
        "last key": keys[-1],
    }


def _of_config(config: Mapping[str, Any], weights: Weights) -> Facts:
    facts = {"licence": str(config.get("licence") or "not given")}
    source, unet = mapping_of(config, "source"), mapping_of(config, "unet")
    if source:
        facts["converted from"] = f"{source['name']}, sha256 {source['sha256']}"
    if unet:
        facts["unet"] = told_unet(unet)
        facts["scheduler"] = told_scheduler(mapping_of(config, "scheduler"))
        facts["fingerprint"] = told_fingerprint(weights)
    shown = SHOWN_APART
    if is_edm_network(config):
        facts |= told_edm(weights)
        shown = SHOWN_APART | SHOWN_OF_EDM
    said = {key: value for key, value in config.items() if key not in shown}
    return {**facts, "says": _listed(said) or "nothing else"}


def _advice(facts: Facts, family: Family | None, weights: Weights) -> list[str]:
    file = facts["file"]
    out = Path(file).with_suffix(".safetensors")
    if is_openai(weights.tensors):
        return _openai_advice(file, str(out), weights.tensors)
    if facts.get("fingerprint", "").startswith("NOT MET"):
        return ["Convert the original file again."]
    if is_edm_network(weights.config):
        return edm_advice(file, facts["format"], weights)
    lines = []
    if facts["format"] == "checkpoint":
        command = f"diffsmooth convert {file} --out {out} --set licence=TEXT"
        lines.append(f"As safetensors, for a cluster: {command}")
    if mapping_of(weights.config, "unet"):
        return [*lines, *unet_advice(file, weights.config)]
    if weights.config.get("arch") == "dncnn":
        sizes = {name: weights.config[name] for name in ("depth", "width", "channels")}
        said = _listed({"kind": "dncnn", **sizes})
        return [
            *lines,
            f"In a recipe: purifier: {{{said}, weights: {{path: {file}}}}}",
        ]
    if weights.config.get("arch") == "digits_cnn":
        said = _listed({"kind": "digits_cnn", "num_classes": _classes(weights)})
        return [
            *lines,
            f"In a recipe: classifier: {{{said}, weights: {{path: {file}}}}}",
        ]
    if family is not None and family.classifier:
        lines.append(f"In a recipe: classifier: {_recipe(family, weights)}")
    return lines or ["No recipe part is known for it."]


def _classes(weights: Weights) -> int:
    return weights.config.get("num_classes", 10)


def _openai_advice(file: str, out: str, tensors: Tensors) -> list[str]:
    fitting = fitting_presets(tensors)
    command = f"diffsmooth convert {file} --out {out} --set"
    own = f"{command} architecture=FLAGS.json --set licence=TEXT"
    if not fitting:
        return ["No preset fits. With the authors' flags in a file:", f"  {own}"]
    return [
        "Names and shapes fit these presets; take the one that is this very file:",
        *(f"  {command} preset={name}" for name in fitting),
        "For a network of your own of the same shapes:",
        f"  {own}",
    ]


def _recipe(family: Family, weights: Weights) -> str:
    config, layer = weights.config, "LAYER"
    if "input" in config:
        numbers = {name: config[name] for name in ("mean", "std") if config.get(name)}
        layer = f"{{{_listed({'kind': config['input'], **numbers})}}}"
    parts = dict(family.classifier)
    if parts["kind"] == "timm":
        parts = {"kind": "timm", "name": config.get("name", "NAME.TAG"), **parts}
    return (
        f"{{{_listed({**parts, 'input': layer})}, weights: {{path: {weights.source}}}}}"
    )


def _listed(fields: Mapping[str, object]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in fields.items())
