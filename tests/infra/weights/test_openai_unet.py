from typing import Any

import pytest

from infra.weights.openai_unet import OpenAiUnet

GUIDED: dict[str, Any] = {
    "family": "guided",
    "image_size": 64,
    "num_channels": 64,
    "num_res_blocks": 1,
    "num_heads": 4,
    "attention_resolutions": "16,8",
    "learn_sigma": True,
    "class_cond": False,
    "use_scale_shift_norm": True,
    "diffusion_steps": 1000,
    "noise_schedule": "cosine",
    "predict_xstart": False,
    "rescale_timesteps": False,
}
IMPROVED = GUIDED | {"family": "improved"}
CONSISTENCY: dict[str, Any] = GUIDED | {
    "family": "consistency",
    "learn_sigma": False,
    "use_new_attention_order": True,
    "noise_schedule": "karras",
}


@pytest.mark.parametrize(
    ("family", "size", "expected"),
    [
        ("guided", 64, (64, 128, 192, 256)),
        ("guided", 128, (64, 64, 128, 192, 256)),
        ("guided", 256, (64, 64, 128, 128, 256, 256)),
        ("improved", 32, (64, 128, 128, 128)),
        ("improved", 64, (64, 128, 192, 256)),
        ("improved", 256, (64, 64, 128, 128, 256, 256)),
    ],
)
def test_widths_are_the_authors_of_the_size_where_none_are_given(
    family: str, size: int, expected: tuple[int, ...]
) -> None:
    unet = OpenAiUnet(**GUIDED | {"family": family, "image_size": size})
    assert unet.widths == expected


def test_resolutions_choose_levels_and_one_that_is_no_levels_chooses_none() -> None:
    unet = OpenAiUnet(**GUIDED | {"channel_mult": "1,2,2"})
    assert unet.widths == (64, 128, 128)
    assert unet.attention_levels == {2}
    one = OpenAiUnet(**GUIDED | {"attention_resolutions": 32})
    assert one.attention_levels == {1}


def test_heads_are_a_number_or_a_width() -> None:
    fixed = OpenAiUnet(**GUIDED | {"num_heads_upsample": 2})
    assert [fixed.heads(width) for width in (192, 256)] == [4, 4]
    assert fixed.heads(256, upwards=True) == 2
    wide = OpenAiUnet(**GUIDED | {"num_head_channels": 32, "num_heads_upsample": 2})
    assert [wide.heads(width) for width in (192, 256)] == [6, 8]
    assert wide.heads(256, upwards=True) == 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (IMPROVED | {"num_head_channels": 64}, "num_head_channels -1.* it is 64"),
        (IMPROVED | {"channel_mult": "1,2"}, "no such flag; it is '1,2'"),
        (IMPROVED | {"resblock_updown": True}, "resblock_updown False"),
        (IMPROVED | {"use_new_attention_order": True}, "order False"),
        (GUIDED | {"image_size": 96}, "image_size of .64, 128, 256, 512.; .* is 96"),
        (GUIDED | {"image_size": 512}, "channel_mult as whole numbers .* '0.5,1"),
        (GUIDED | {"channel_mult": "2,4"}, "begins with 1; it is '2,4'"),
        (GUIDED | {"attention_resolutions": "16;8"}, "commas, .* is '16;8'"),
        (GUIDED | {"attention_resolutions": "16,0"}, "commas, .* is '16,0'"),
        (GUIDED | {"num_channels": 40}, "whole groups; num_channels 40"),
        (GUIDED | {"num_heads": 5}, "192 channels needs a num_heads .* it is 5"),
        (GUIDED | {"num_head_channels": 48}, "256 channels needs a num_head_channels"),
        (GUIDED | {"num_heads_upsample": 0}, "needs a num_heads .* it is 0"),
        (GUIDED | {"noise_schedule": "linear", "diffusion_steps": 20}, "above 20"),
        (GUIDED | {"noise_schedule": "karras"}, "'karras'; family is 'guided' and"),
        (GUIDED | {"family": "consistency"}, "is 'consistency' and .* 'cosine'"),
        (CONSISTENCY | {"learn_sigma": True}, "they are True and True. Correct"),
        (CONSISTENCY | {"use_new_attention_order": False}, "are False and False. Co"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    flags: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        OpenAiUnet(**flags)
