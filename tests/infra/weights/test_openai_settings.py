import numpy as np
import pytest

from infra.weights.openai_presets import PRESETS, preset
from infra.weights.openai_settings import scheduler_settings, settings_of
from infra.weights.openai_unet import OpenAiUnet


def test_fixed_number_of_heads_is_said_for_layers_of_every_width() -> None:
    settings = settings_of(preset("imagenet64_uncond_100M_1500K"))
    heads, widths = settings["attention_heads"], [128, 256, 384, 512]
    assert settings["unet"]["block_out_channels"] == widths
    assert set(heads.values()) == {4}
    # 3 layers on two levels down, 1 in the middle, 4 on two levels up
    assert len(heads) == 2 * 3 + 1 + 2 * 4


def test_fixed_width_of_heads_gives_more_heads_to_wider_layers() -> None:
    heads = settings_of(preset("64x64_diffusion"))["attention_heads"]
    assert heads["down_blocks.1.attentions.0"] == 384 // 64
    assert heads["down_blocks.3.attentions.2"] == 768 // 64
    assert heads["up_blocks.0.attentions.3"] == 768 // 64
    assert heads["mid_block.attentions.0"] == 768 // 64


SEVERAL = PRESETS["128x128_diffusion"].model_copy(
    update={"channel_mult": "1,2,3", "attention_resolutions": "64,32"}
)
"""Heads of 128 and 192 channels, neither of which divides the other's layer."""


@pytest.mark.parametrize("network", [*PRESETS.values(), SEVERAL])
def test_the_one_width_of_heads_that_unet_settings_know_divides_every_width(
    network: OpenAiUnet,
) -> None:
    unet = settings_of(network)["unet"]
    blocks = zip(unet["down_block_types"], unet["block_out_channels"], strict=True)
    widths = [width for block, width in blocks if block.startswith("Attn")]
    assert [width % unet["attention_head_dim"] for width in widths] == [0] * len(widths)


@pytest.mark.parametrize(("num_steps", "factor"), [(1000, 1), (4000, 0.25), (100, 10)])
def test_linear_schedule_ends_as_noisy_at_any_length(
    num_steps: int, factor: float
) -> None:
    unet = preset("lsun_cat").model_copy(update={"diffusion_steps": num_steps})
    settings = scheduler_settings(unet)
    assert settings["beta_start"] == pytest.approx(0.0001 * factor)
    assert settings["beta_end"] == pytest.approx(0.02 * factor)
    betas = np.linspace(settings["beta_start"], settings["beta_end"], num_steps)
    # Over 1000 steps the last alpha_bar is 4.04e-5 (Ho et al. 2020, section 4).
    assert np.log(1 - betas).sum() == pytest.approx(np.log(4.04e-5), rel=0.12)


def test_prediction_is_what_the_flag_says() -> None:
    unet = preset("64x64_diffusion")
    cosine = {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 1000}
    assert scheduler_settings(unet) == cosine | {"prediction_type": "epsilon"}
    clean = unet.model_copy(update={"predict_xstart": True})
    assert scheduler_settings(clean) == cosine | {"prediction_type": "sample"}


@pytest.mark.parametrize(
    ("name", "rescaled"),
    [
        ("256x256_diffusion_uncond", False),
        ("cifar10_uncond_50M_500K", True),
        ("imagenet64_cond_270M_250K", False),
    ],
)
def test_rescaled_time_is_said(name: str, rescaled: bool) -> None:
    assert settings_of(preset(name))["rescale_timesteps"] is rescaled


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("cd_imagenet64_lpips", 40),
        ("ct_imagenet64", 201),
        ("cd_bedroom256_l2", 40),
        ("ct_cat256", 151),
    ],
)
def test_consistency_models_have_levels_in_place_of_betas(
    name: str, levels: int
) -> None:
    assert scheduler_settings(preset(name)) == {
        "_class_name": "CMStochasticIterativeScheduler",
        "num_train_timesteps": levels,
        "sigma_min": 0.002,
        "sigma_max": 80.0,
        "sigma_data": 0.5,
        "rho": 7.0,
    }


@pytest.mark.parametrize(
    ("name", "shift", "classes"),
    [
        ("cd_imagenet64_lpips", "scale_shift", 1000),
        ("cd_bedroom256_lpips", "default", None),
    ],
)
def test_consistency_models_are_laid_out_as_diffusers_publishes_them(
    name: str, shift: str, classes: int | None
) -> None:
    unet = settings_of(preset(name))["unet"]
    assert (unet["in_channels"], unet["out_channels"]) == (3, 3)
    assert unet["attention_head_dim"] == 64
    assert unet["resnet_time_scale_shift"] == shift
    assert unet["num_class_embeds"] == classes
    attends = [kind == "AttnDownBlock2D" for kind in unet["down_block_types"]]
    assert attends == [False] * (len(attends) - 3) + [True] * 3
