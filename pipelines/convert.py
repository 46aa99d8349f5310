"""Checkpoints of others to safetensors, with all that a run must know of them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from infra.weights.digest import digest
from infra.weights.load import load
from infra.weights.openai_flags import read_flags
from infra.weights.openai_layout import is_openai
from infra.weights.openai_presets import LICENCE, fitting_presets, preset
from infra.weights.openai_settings import settings_of
from infra.weights.openai_tensors import to_diffusers
from infra.weights.openai_unet import OpenAiUnet
from infra.weights.safetensors_file import write
from ops.purify.edm_network import edm_network, is_edm_network
from ops.purify.fingerprint import FIELD, fingerprint_of
from ops.purify.unet import assemble_unet, rename_old_attention
from ops.weights import Weights, fit_weights

logger = logging.getLogger(__name__)

Tensors = Mapping[str, torch.Tensor]

FIELDS = ("preset", "architecture", "licence")
"""What ``--set`` may say: a published file's name, a file of the authors' flags, the
terms of use."""


@dataclass(frozen=True)
class Asked:
    """What was said of a file that it does not say itself."""

    unet: OpenAiUnet | None = None
    """The network, if it is one of OpenAI's."""

    licence: str | None = None
    """Terms of use."""


def convert(file: str, settings: Sequence[str], out: str) -> Path:
    """Write a checkpoint as safetensors, with settings, licence and fingerprint.

    A U-Net in OpenAI's layout becomes one of diffusers'. It, and any that is one of
    diffusers' already, is run once: what it returns is stored, and compared whenever
    it is loaded. A pickle of EDM's code keeps its tensors and its settings. Any other
    checkpoint keeps its tensors, without their wrappers, and the plain values beside
    them.

    Args:
        file: checkpoint, safetensors file, pickle of EDM, or folder of diffusers.
        settings: ``field=value`` each: ``preset``, ``architecture`` (path to a JSON or
            YAML file) and ``licence``.
        out: path of the new file, which ends in ``.safetensors``.

    Returns:
        The path of the new file.

    Raises:
        ValueError: a setting is unknown, the file is unsafe or damaged, its settings
            are missing or do not fit it, or ``out`` is there already.
        FileNotFoundError: there is no such file.
    """
    target = _target(out)
    asked = _asked(settings)
    tensors, said = load(file)
    if asked.unet is not None:
        tensors, said = _converted(asked.unet, tensors, file)
    elif is_openai(tensors):
        raise _no_settings(file, out, tensors)
    elif is_edm_network(said):
        edm_network(Weights(file, tensors, said))
    elif "unet" in said:
        tensors = rename_old_attention(tensors)
        said = _known(tensors, said, file)
    config = {
        **said,
        "source": {"name": Path(file).name, "sha256": digest(file)},
        "licence": asked.licence or said.get("licence"),
    }
    write(target, tensors, config)
    logger.info("%s: %d tensors in %s.", file, len(tensors), target)
    return target


def _converted(
    unet: OpenAiUnet, tensors: Tensors, file: str
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    config = settings_of(unet)
    converted = to_diffusers(unet, tensors, file)
    if unet.class_cond:
        logger.warning(
            "%s is class-conditional: it is converted, and %s, for it would have to be "
            "told the true label.",
            file,
            "kind consistency takes it only with a label that is averaged or guessed"
            if unet.family == "consistency"
            else "no purifier takes it",
        )
    return converted, _known(converted, config, file)


def _known(tensors: Tensors, config: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return the settings of a U-Net with its fingerprint among them."""
    network = fit_weights(
        assemble_unet(config["unet"], config.get("attention_heads")),
        Weights(file, tensors, config),
    )
    return {**config, FIELD: fingerprint_of(network, config, file)}


def _target(out: str) -> Path:
    target = Path(out).expanduser()
    if target.suffix != ".safetensors":
        raise ValueError(
            f"convert needs --out to end in .safetensors; it is {out}. Write "
            f"--out {target.with_suffix('.safetensors')}."
        )
    if target.exists():
        raise ValueError(
            f"convert needs a new file to write; {out} is there already. Name another "
            f"--out, or remove it."
        )
    if not target.parent.is_dir():
        raise ValueError(
            f"convert needs a folder to write to; there is no {target.parent}. Make "
            f"it, or name another --out."
        )
    return target


def _asked(settings: Sequence[str]) -> Asked:
    said: dict[str, str] = {}
    for setting in settings:
        field, separator, value = setting.partition("=")
        if field not in FIELDS or not separator or not value.strip():
            raise ValueError(
                f"convert needs --set with one of {', '.join(FIELDS)} and a value; it "
                f"has {setting!r}. Write for example --set licence=MIT."
            )
        said[field] = value.strip()
    if "preset" in said and "architecture" in said:
        raise ValueError(
            f"convert needs one description of the network; it has preset "
            f"{said['preset']} and architecture {said['architecture']}. Drop one."
        )
    if "preset" in said:
        return Asked(preset(said["preset"]), said.get("licence", LICENCE))
    flags = said.get("architecture")
    unet = read_flags(Path(flags).expanduser()) if flags else None
    return Asked(unet, said.get("licence"))


def _no_settings(file: str, out: str, tensors: Tensors) -> ValueError:
    """Return the refusal of a file whose settings nobody gave, with those that fit."""
    fitting = fitting_presets(tensors)
    command = f"diffsmooth convert {file} --set preset={{}} --out {out}"
    advice = (
        f"If it is the published {' or '.join(fitting)}, type: "
        f"{command.format(fitting[0] if len(fitting) == 1 else 'NAME')}"
        if fitting
        else "No published file has these shapes"
    )
    return ValueError(
        f"convert needs the settings of a U-Net in OpenAI's layout, which no shape "
        f"tells; --set has neither preset nor architecture for {file}. {advice}. For a "
        f"network of your own, give the flags it was trained with: --set "
        f"architecture=FLAGS.json."
    )
