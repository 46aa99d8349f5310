import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.weights.openai_flags import read_flags
from infra.weights.openai_presets import preset

CIFAR: dict[str, Any] = {
    "image_size": 32,
    "num_channels": 128,
    "num_res_blocks": 3,
    "num_heads": 4,
    "num_heads_upsample": -1,
    "attention_resolutions": "16,8",
    "dropout": 0.3,
    "learn_sigma": True,
    "sigma_small": False,
    "class_cond": False,
    "diffusion_steps": 4000,
    "noise_schedule": "cosine",
    "timestep_respacing": "",
    "use_kl": False,
    "predict_xstart": False,
    "rescale_timesteps": True,
    "rescale_learned_sigmas": True,
    "use_checkpoint": False,
    "use_scale_shift_norm": True,
}
"""As improved-diffusion's own scripts log them."""

ADDED = {
    "num_head_channels": -1,
    "channel_mult": "",
    "resblock_updown": False,
    "use_new_attention_order": False,
}
GUIDED = CIFAR | ADDED | {"image_size": 64}


def written(at: Path, content: object) -> Path:
    path = at / "flags.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_authors_own_flags_give_the_preset_of_the_file(tmp_path: Path) -> None:
    content = {"family": "improved", "config": CIFAR}
    expected = preset("cifar10_uncond_50M_500K")
    assert read_flags(written(tmp_path, content)) == expected
    assert read_flags(written(tmp_path, yaml.safe_dump(content))) == expected


def test_flags_of_training_and_sampling_change_nothing(tmp_path: Path) -> None:
    idle = {"dropout": 0.0, "use_fp16": True, "timestep_respacing": "250"}
    content = {"family": "improved", "config": CIFAR | idle}
    assert read_flags(written(tmp_path, content)) == preset("cifar10_uncond_50M_500K")


def without(flags: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: flags[name] for name in flags if name not in names}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("family: [", "needs JSON or YAML"),
        ("[1, 2]", "mapping with family and config; .* has list"),
        (CIFAR, "mapping with family and config; .* has .'attention_resolutions'"),
        ({"family": "edm", "config": CIFAR}, "'guided', 'improved'.* has 'edm'"),
        ({"family": "guided", "config": 3}, "a config of flags; .* and a int"),
        (
            {"family": "guided", "config": CIFAR},
            "has no channel_mult, num_head_channels, resblock_updown, use_new_attention"
            "_order.* scripts took channel_mult: '', num_head_channels: -1",
        ),
        (
            {"family": "improved", "config": without(CIFAR, "rescale_timesteps")},
            "has no rescale_timesteps.* took rescale_timesteps: true",
        ),
        (
            {"family": "guided", "config": without(GUIDED, "rescale_timesteps")},
            "took rescale_timesteps: false",
        ),
        (
            {"family": "guided", "config": GUIDED | {"num_chanels": 3}},
            "has 'num_chanels'. Did you mean 'num_channels'",
        ),
        (
            {"family": "guided", "config": GUIDED | {"learn_sigma": "perhaps"}},
            "flag learn_sigma to fit: .* has 'perhaps'",
        ),
        (
            {"family": "guided", "config": GUIDED | {"num_heads": 7}},
            "num_heads that divides it; it is 7.* of .*flags.json",
        ),
        (
            {"family": "improved", "config": CIFAR | {"resblock_updown": True}},
            "that code has no such flag; it is True",
        ),
    ],
)
def test_flags_that_do_not_say_it_all_are_refused(
    content: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read_flags(written(tmp_path, content))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"flags\.json is none"):
        read_flags(tmp_path / "flags.json")
