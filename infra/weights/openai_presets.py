"""The U-Nets that OpenAI published, by the names of their files."""

from collections.abc import Mapping

import torch

from infra.weights.openai_layout import shapes
from infra.weights.openai_unet import OpenAiUnet

LICENCE = "MIT"
"""Of the repositories and their files."""


def _guided(size: int, **flags: object) -> OpenAiUnet:
    """Return a network of guided-diffusion; what is not said is its scripts' default.

    Source:
        README.md of github.com/openai/guided-diffusion, "Sampling from pre-trained
        models".
    """
    usual = {
        "num_channels": 256,
        "num_res_blocks": 2,
        "num_heads": 4,
        "num_head_channels": 64,
        "attention_resolutions": "32,16,8",
        "learn_sigma": True,
        "class_cond": False,
        "use_scale_shift_norm": True,
        "resblock_updown": True,
        "diffusion_steps": 1000,
        "noise_schedule": "linear",
        "predict_xstart": False,
        "rescale_timesteps": False,
    }
    return OpenAiUnet.model_validate(
        {"family": "guided", "image_size": size, **usual, **flags}
    )


def _improved(size: int, **flags: object) -> OpenAiUnet:
    """Return a network of improved-diffusion; what is not said is its scripts' default.

    Source:
        README.md of github.com/openai/improved-diffusion, "Models and Hyperparameters".
    """
    usual = {
        "num_channels": 128,
        "num_res_blocks": 3,
        "num_heads": 4,
        "attention_resolutions": "16,8",
        "learn_sigma": True,
        "class_cond": False,
        "use_scale_shift_norm": True,
        "diffusion_steps": 4000,
        "noise_schedule": "cosine",
        "predict_xstart": False,
        "rescale_timesteps": True,
    }
    return OpenAiUnet.model_validate(
        {"family": "improved", "image_size": size, **usual, **flags}
    )


def _consistency(size: int, levels: int, **flags: object) -> OpenAiUnet:
    """Return a network of consistency_models; what is not said is of all its files.

    Source:
        scripts/launch.sh of github.com/openai/consistency_models; Song et al. 2023,
        arXiv:2303.01469, appendix C.
    """
    usual = {
        "num_heads": 4,
        "num_head_channels": 64,
        "attention_resolutions": "32,16,8",
        "learn_sigma": False,
        "resblock_updown": True,
        "use_new_attention_order": True,
        "noise_schedule": "karras",
        "predict_xstart": False,
        "rescale_timesteps": False,
        "diffusion_steps": levels,
    }
    return OpenAiUnet.model_validate(
        {"family": "consistency", "image_size": size, **usual, **flags}
    )


def _consistency_imagenet(levels: int) -> OpenAiUnet:
    return _consistency(
        64,
        levels,
        num_channels=192,
        num_res_blocks=3,
        class_cond=True,
        use_scale_shift_norm=True,
    )


def _consistency_lsun(levels: int) -> OpenAiUnet:
    return _consistency(
        256,
        levels,
        num_channels=256,
        num_res_blocks=2,
        class_cond=False,
        use_scale_shift_norm=False,
    )


_LSUN_GUIDED = _guided(256)
_LSUN_IMPROVED = _improved(
    256,
    num_res_blocks=2,
    num_heads=1,
    attention_resolutions="16",
    use_scale_shift_norm=False,
    diffusion_steps=1000,
    noise_schedule="linear",
    rescale_timesteps=False,
)

PRESETS: dict[str, OpenAiUnet] = {
    "64x64_diffusion": _guided(
        64,
        num_channels=192,
        num_res_blocks=3,
        class_cond=True,
        use_new_attention_order=True,
        noise_schedule="cosine",
    ),
    "128x128_diffusion": _guided(128, num_head_channels=-1, class_cond=True),
    "256x256_diffusion": _guided(256, class_cond=True),
    "256x256_diffusion_uncond": _guided(256),
    "lsun_bedroom": _LSUN_GUIDED,
    "lsun_cat": _LSUN_GUIDED,
    "lsun_horse": _LSUN_GUIDED,
    "lsun_horse_nodropout": _LSUN_GUIDED,
    "cifar10_uncond_50M_500K": _improved(32),
    "cifar10_uncond_vlb_50M_500K": _improved(32),
    "imagenet64_uncond_100M_1500K": _improved(64),
    "imagenet64_uncond_vlb_100M_1500K": _improved(64),
    "imagenet64_cond_270M_250K": _improved(
        64, num_channels=192, class_cond=True, rescale_timesteps=False
    ),
    "lsun_uncond_100M_1200K_bs128": _LSUN_IMPROVED,
    "lsun_uncond_100M_2400K_bs64": _LSUN_IMPROVED,
    "cd_imagenet64_l2": _consistency_imagenet(40),
    "cd_imagenet64_lpips": _consistency_imagenet(40),
    "ct_imagenet64": _consistency_imagenet(201),
    "cd_bedroom256_l2": _consistency_lsun(40),
    "cd_bedroom256_lpips": _consistency_lsun(40),
    "ct_bedroom256": _consistency_lsun(151),
    "cd_cat256_l2": _consistency_lsun(40),
    "cd_cat256_lpips": _consistency_lsun(40),
    "ct_cat256": _consistency_lsun(151),
}
"""Settings by name of file, without its ending.

Not here: 512x512_diffusion, whose first level UNet2DModel cannot hold, the upsamplers,
which take six channels, and the classifiers.
"""


def preset(name: str) -> OpenAiUnet:
    """Return the settings of a published file.

    Args:
        name: of the file, without its ending.

    Raises:
        ValueError: there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(
            f"A preset needs the name of a published file; there is none named "
            f"{name!r}. Name one of {', '.join(PRESETS)}, or give "
            f"architecture=FLAGS.json with the authors' flags."
        )
    return PRESETS[name]


def fitting_presets(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the presets whose tensors have these names and shapes.

    Several may fit one file, and one of them that fits may still be wrong.

    Args:
        tensors: as in a file of OpenAI's layout.
    """
    found = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    return [name for name, unet in PRESETS.items() if shapes(unet) == found]
