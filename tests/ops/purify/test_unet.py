from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ops.initialise import initialise
from ops.purify.unet import assemble_unet, build_unet, refuse_openai_layout
from ops.weights import Weights

TINY: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": [16, 32],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 8,
}
LAYERS = [
    "down_blocks.1.attentions.0",
    "mid_block.attentions.0",
    "up_blocks.0.attentions.0",
    "up_blocks.0.attentions.1",
]


def output(heads: dict[str, int] | None, width: int = 8) -> torch.Tensor:
    network = assemble_unet(TINY | {"attention_head_dim": width}, heads)
    initialise(network, 0)
    image = np.random.default_rng(0).normal(size=(1, 3, 8, 8))
    with torch.no_grad():
        return network.eval()(torch.tensor(image).float(), 5)[0]


@pytest.mark.parametrize("num_heads", [1, 2, 8])
def test_heads_said_apart_are_those_a_width_of_heads_would_give(num_heads: int) -> None:
    said = output(dict.fromkeys(LAYERS, num_heads))
    torch.testing.assert_close(said, output(None, width=32 // num_heads))
    assert not torch.allclose(said, output(None), atol=1e-4)


def test_each_layer_has_heads_of_its_own() -> None:
    same = dict.fromkeys(LAYERS, 2)
    for layer in LAYERS:
        assert not torch.allclose(output(same | {layer: 8}), output(same), atol=1e-5)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({}, r"has 0, and 'down_blocks.1.attentions.0'"),
        (dict.fromkeys(LAYERS[1:], 2), r"4 attention layers .* has 3"),
        (dict.fromkeys([*LAYERS, "more"], 2), r"has 5, and 'more' is on one side"),
        (
            dict.fromkeys(LAYERS, 3),
            r"'down_blocks.1.attentions.0' has 32 channels and 3",
        ),
        (dict.fromkeys(LAYERS, 0), r"has 32 channels and 0 heads"),
    ],
)
def test_heads_that_do_not_fit_the_layers_are_refused(
    heads: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        assemble_unet(TINY, heads)


def test_class_conditional_network_can_be_assembled_and_is_no_purifier() -> None:
    conditional = TINY | {"num_class_embeds": 10}
    assert "class_embedding.weight" in assemble_unet(conditional).state_dict()
    with pytest.raises(ValueError, match=r"num_class_embeds = 10\. .*true label"):
        build_unet(conditional)


def test_file_in_openais_layout_is_refused_with_the_command_that_converts_it() -> None:
    file = Path("/data/256x256_diffusion_uncond.pt")
    raw = {"input_blocks.0.0.weight": torch.zeros(8, 3, 3, 3)}
    expected = (
        f"diffsmooth convert {file} --set preset=NAME --out "
        f"{file.with_suffix('.safetensors')} "
    )
    with pytest.raises(ValueError, match="OpenAI's own files") as refused:
        refuse_openai_layout(Weights(str(file), raw))
    assert expected in str(refused.value)
    refuse_openai_layout(Weights(str(file), {"conv_in.weight": torch.zeros(1)}))
