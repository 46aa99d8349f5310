"""Settings of diffusers that describe a U-Net of OpenAI's."""

import math
from typing import Any

from infra.weights.openai_layout import attention_heads
from infra.weights.openai_unet import NUM_CLASSES, NUM_GROUPS, OpenAiUnet

CONSISTENCY: dict[str, Any] = {
    "_class_name": "CMStochasticIterativeScheduler",
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "sigma_data": 0.5,
    "rho": 7.0,
}
"""What all published consistency models share, as diffusers' scheduler spells it."""


def settings_of(unet: OpenAiUnet) -> dict[str, Any]:
    """Return what a converted file says of its network.

    Args:
        unet: the network, by its authors' flags.

    Returns:
        ``unet``: arguments of ``diffusers.UNet2DModel``. ``attention_heads``: heads by
        name of attention layer, which those arguments cannot say. ``scheduler``: as in
        a scheduler_config.json. ``rescale_timesteps``: whether the network is told
        1000 t / T.
    """
    return {
        "unet": unet_settings(unet),
        "attention_heads": attention_heads(unet),
        "scheduler": scheduler_settings(unet),
        "rescale_timesteps": unet.rescale_timesteps,
    }


def unet_settings(unet: OpenAiUnet) -> dict[str, Any]:
    """Return the arguments of the ``diffusers.UNet2DModel`` with a network's shapes.

    Args:
        unet: the network, by its authors' flags.
    """
    down, up, resample = "DownBlock2D", "UpBlock2D", "conv"
    if unet.resblock_updown:
        down, up = "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"
        resample = "resnet"
    attends = [level in unet.attention_levels for level in range(len(unet.widths))]
    return {
        "sample_size": unet.image_size,
        "in_channels": 3,
        "out_channels": unet.out_channels,
        "block_out_channels": list(unet.widths),
        "layers_per_block": unet.num_res_blocks,
        "down_block_types": ["AttnDownBlock2D" if a else down for a in attends],
        "up_block_types": ["AttnUpBlock2D" if a else up for a in reversed(attends)],
        "downsample_type": resample,
        "upsample_type": resample,
        "attention_head_dim": _head_width(unet),
        "attn_norm_num_groups": NUM_GROUPS,
        "norm_num_groups": NUM_GROUPS,
        "norm_eps": 1e-5,
        "resnet_time_scale_shift": (
            "scale_shift" if unet.use_scale_shift_norm else "default"
        ),
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "num_class_embeds": NUM_CLASSES if unet.class_cond else None,
    }


def _head_width(unet: OpenAiUnet) -> int:
    """Return a width of heads that divides every layer's: shapes come out right."""
    levels = {*unet.attention_levels, len(unet.widths) - 1}
    widths = [unet.widths[level] for level in levels]
    return math.gcd(*(width // unet.heads(width) for width in widths))


def scheduler_settings(unet: OpenAiUnet) -> dict[str, Any]:
    """Return the schedule and the prediction as diffusers' schedulers spell them.

    Args:
        unet: the network, by its authors' flags.

    Source:
        Ho et al. 2020, arXiv:2006.11239, section 4 (linear, over 1000 steps); Nichol
        and Dhariwal 2021, arXiv:2102.09672, equation 17 (cosine); Song et al. 2023,
        arXiv:2303.01469, section 2 and appendix C (consistency).
    """
    num_timesteps = unet.diffusion_steps
    if unet.family == "consistency":
        return {**CONSISTENCY, "num_train_timesteps": num_timesteps}
    scale = 1000.0 / num_timesteps
    shape: dict[str, Any] = {"beta_schedule": "squaredcos_cap_v2"}
    if unet.noise_schedule == "linear":
        betas = {"beta_start": scale * 0.0001, "beta_end": scale * 0.02}
        shape = {"beta_schedule": "linear", **betas}
    return {
        **shape,
        "num_train_timesteps": num_timesteps,
        "prediction_type": "sample" if unet.predict_xstart else "epsilon",
    }
