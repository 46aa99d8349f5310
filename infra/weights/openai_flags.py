"""The authors' flags of an OpenAI U-Net, read from a file."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from infra.weights.openai_unet import OpenAiUnet

OF_NO_OUTPUT = {
    "dropout",
    "rescale_learned_sigmas",
    "sigma_small",
    "timestep_respacing",
    "use_checkpoint",
    "use_fp16",
    "use_kl",
}
"""Flags of training, sampling and number format: no output of the network needs them.

Dropout is off outside training, a respaced sampler asks the same network, and the
learned variance, which the others concern, is not read.
"""

GUIDED_ONLY = {
    "channel_mult": "''",
    "num_head_channels": "-1",
    "resblock_updown": "false",
    "use_new_attention_order": "false",
}
"""Flags that improved-diffusion has not, with guided-diffusion's defaults."""

DEFAULTS = {
    "image_size": "64",
    "num_channels": "128",
    "num_res_blocks": "2",
    "num_heads": "4",
    "num_heads_upsample": "-1",
    "attention_resolutions": "'16,8'",
    "learn_sigma": "false",
    "class_cond": "false",
    "use_scale_shift_norm": "true",
    "diffusion_steps": "1000",
    "noise_schedule": "linear",
    "predict_xstart": "false",
}
"""What both families' scripts take for a flag that is not given."""

RESCALES = {"guided": "false", "improved": "true"}
"""The same for ``rescale_timesteps``."""


def read_flags(path: Path) -> OpenAiUnet:
    """Return the U-Net that a file of flags describes.

    Args:
        path: JSON or YAML, ``{family: guided or improved, config: {flag: value}}`` with
            every flag that decides an output.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no such mapping, a flag is missing or unknown, or they
            do not go together.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"architecture needs a file of the authors' flags; {path} is none. Correct "
            f"the path."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"architecture needs JSON or YAML; {path} has "
            f"{' '.join(str(error).split())}. Mend the file."
        ) from error
    parts = {"family", "config"}
    if not isinstance(content, dict) or set(content) != parts:
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"architecture needs a mapping with family and config; {path} has {found}. "
            f"Write {{family: guided, config: {{image_size: 256, ...}}}}."
        )
    if content["family"] not in RESCALES or not isinstance(content["config"], dict):
        raise ValueError(
            f"architecture needs a family of {sorted(RESCALES)} and a config of flags; "
            f"{path} has {content['family']!r} and a {type(content['config']).__name__}"
            f". Take the family from the code that trained the network."
        )
    return _from_flags(content["family"], content["config"], path)


def _from_flags(family: str, flags: Mapping[str, Any], path: Path) -> OpenAiUnet:
    defaults = DEFAULTS | {"rescale_timesteps": RESCALES[family]}
    if family == "guided":
        defaults |= GUIDED_ONLY
    missing = [name for name in defaults if name not in flags]
    if missing:
        usual = ", ".join(f"{name}: {defaults[name]}" for name in missing)
        raise ValueError(
            f"architecture needs every flag that decides an output; {path} has no "
            f"{', '.join(missing)}. Add them; where the network was trained without "
            f"naming them, the authors' scripts took {usual}."
        )
    decisive = {name: flags[name] for name in flags if name not in OF_NO_OUTPUT}
    try:
        return OpenAiUnet.model_validate({"family": family, **decisive})
    except ValidationError as error:
        problem = error.errors()[0]
        raise ValueError(_sentence(dict(problem), path)) from error


def _sentence(problem: Mapping[str, Any], path: Path) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "value_error":
        return f"{problem['ctx']['error']} The flags are those of {path}."
    if problem["type"] == "extra_forbidden":
        known = sorted({*OpenAiUnet.model_fields, *OF_NO_OUTPUT} - {"family"})
        near = difflib.get_close_matches(name, known, n=1)
        advice = f"Did you mean {near[0]!r}? " if near else ""
        return (
            f"architecture needs flags of the authors' scripts; {path} has {name!r}. "
            f"{advice}Known: {', '.join(known)}."
        )
    return (
        f"architecture needs the flag {name} to fit: {problem['msg'].lower()}; {path} "
        f"has {problem['input']!r}. Write it as in the authors' scripts."
    )
